"""The options of the command line: one for each input, in groups, and the text of ``--help``.

On/off inputs are flags, list options can be repeated, and single-value options may be given once
only. Each has a variable ``GHCR_PUSH_NAME``; secrets have only that, since every user of a machine
can read its command lines.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from ghcr_push.fronts.wording import PREFIX, variable
from ghcr_push.planning.inputs import INPUT_BY_NAME, INPUTS, Input

NOT_HERE: Final = frozenset({"summary"})
"""Inputs that have no meaning without a runner."""

LISTS: Final = frozenset({"tags", "annotations", "mount-from", "protect", "insecure-registries"})
CHOICES: Final = {"transport": ("auto", "direct", "engine"), "on-protected": ("fail", "keep")}

GROUPS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "What": {
        "tags": ("TARGET", "The same as an argument TARGET; both add up."),
        "tags-file": ("FILE", "File with more targets, one per line."),
        "allow-empty": ("", "Without a target, do nothing and succeed."),
        "source": ("SOURCE", ""),
        "platform": ("OS/ARCH", ""),
        "compress-layers": ("", ""),
        "annotations": ("ANNOTATION", "KEY=VALUE for the index made from several sources."),
        "referrers": ("", "Also push the image's signatures, SBOMs and attestations."),
        "dry-run": ("", "Read each tag and report what would be pushed; write nothing."),
    },
    "Where to": {
        "image": ("REPOSITORY", ""),
        "protect": (
            "GLOB",
            "Tags that may be created but never moved to another image, such as 'v*.*.*'.",
        ),
        "on-protected": ("", "What to do if a protected tag names another image."),
        "all-or-nothing": (
            "",
            "Write no tag before the content of every target is in its registry.",
        ),
        "insecure-registries": (
            "REGISTRY",
            "Registry that may use plain HTTP, besides localhost and 127.0.0.0/8.",
        ),
    },
    "How fast": {
        "max-parallel": ("N", ""),
        "adaptive": ("", "Keep --max-parallel fixed, whatever the registry answers."),
        "transport": ("", "Who uploads the layers: this process, `docker push`, or what suits."),
        "mount-from": (
            "REPOSITORY",
            "Repository to mount layers from instead of uploading them, such as ghcr.io/acme/base.",
        ),
        "spool-size": ("SIZE", ""),
    },
    "When it fails": {
        "max-attempts": ("N", ""),
        "backoff-initial": ("DURATION", ""),
        "backoff-max": ("DURATION", ""),
        "attempt-timeout": ("DURATION", ""),
        "timeout": ("DURATION", ""),
        "fail-fast": ("", "Start no new targets after the first permanent failure."),
        "fail-on-error": ("", "Exit with 0 although targets failed."),
        "verify": ("", "Trust the answer to a write; do not read the tag back."),
    },
    "Credentials": {
        "registry": ("REGISTRY", "Registry that --username and the password are for."),
        "username": ("NAME", "User name there."),
        "password-stdin": ("", "Read the password from standard input."),
    },
    "Output": {
        "report-file": ("FILE", "Also write the JSON report to FILE."),
        "declare-artifacts": (
            "",
            "Declare what was pushed in $GITHUB_ARTIFACTS, for actions/attest.",
        ),
        "format": ("", "Print the result as text or as the JSON report.  [default: text]"),
        "quiet": ("", "Show no progress, only the result and errors."),
        "verbose": ("", "Show every request and docker command."),
        "color": ("", "Use colours, or none.  [default: on a terminal without NO_COLOR]"),
        "version": ("", "Show the version."),
        "help": ("", ""),
    },
}
"""The options by the headings of ``--help``, each with the name of its value and its text.

A flag or choice has no such name. Without a text here, the help has the input's description."""

_OWN_VARIABLES: Final = ("format", "quiet", "verbose", "color")
"""The options with a variable that are no inputs."""

_SHOWN: Final = {name: row for group in GROUPS.values() for name, row in group.items()}

_EXAMPLES: Final = """\
  ghcr-push --source app ghcr.io/acme/app:1.4.2 ghcr.io/acme/app:latest
  ghcr-push --image ghcr.io/acme/app --source app --protect 'v*' --dry-run v1.4.2 v1
  git tag --points-at HEAD | ghcr-push --image ghcr.io/acme/app --source app --format json -
"""

_EXIT_STATUS: Final = (
    ("0", "all pushed, or --no-fail-on-error"),
    ("1", "something failed or was skipped, or the report could not be written"),
    ("2", "bad input; nothing was sent"),
    ("130, 143", "ended by SIGINT (Ctrl-C), SIGTERM"),
)

_PASSWORD: Final = "--password-stdin"  # noqa: S105 - the option's name

DESCRIPTION: Final = """\
Push container images that are already built, many tags at a time, and report on each.

TARGET is registry/repository:tag, a bare tag of --image, or 'SOURCE => TARGET'; - reads them from
standard input, one per line. `ghcr-push report FILE...` shows saved reports.
"""


FLAGS: Final = {
    option: each
    for each in INPUTS
    if each.is_flag and each.name not in NOT_HERE
    for option in (each.option, f"--no-{each.name}")
}
_SECRETS: Final = {each.option: each for each in INPUTS if each.secret}


with_version: Final = click.version_option(
    None,
    "--version",
    "-V",
    package_name="ghcr-push",
    message="%(package)s %(version)s",
    help=_SHOWN["version"][1],
)


def parameters() -> list[click.Parameter]:
    """Create the parameters: the targets, an option for each input, and the command line's own."""
    return [
        click.Argument(["targets"], nargs=-1, metavar="[TARGET]...", shell_complete=_commands),
        *(_option(each) for each in INPUTS if not each.secret and each.name not in NOT_HERE),
        _own("--password-stdin", is_flag=True),
        _own("--format", "output_format", type=click.Choice(["text", "json"]), default="text"),
        _own("--quiet", "-q", is_flag=True),
        _own("--verbose", "-v", is_flag=True),
        _own("--color/--no-color", default=None),
    ]


def _own(*names: str, **attributes: Any) -> "_Option":  # click's, of many types
    """Create an option that is no input."""
    name = names[0].partition("/")[0].removeprefix("--")
    envvar = variable(name) if name in _OWN_VARIABLES else None
    return _Option(names, envvar=envvar, help=_SHOWN[name][1], **attributes)


def _option(each: Input) -> "_Option":
    metavar, text = _SHOWN[each.name]
    text = text or each.description.replace("`", "")
    if each.is_flag:
        off = each.default == "true"
        return _Option(
            [f"{each.option}/--no-{each.name}"],
            default=None,
            shown=f"--no-{each.name}" if off else each.option,
            help=text,
        )
    if each.name in LISTS:
        text += " May be repeated."
    if each.default:
        text += f"  [default: {each.default}]"
    return _Option(
        [each.option],
        multiple=True,
        type=_type(each.name, metavar),
        metavar=metavar or None,
        help=text,
    )


def _type(name: str, metavar: str) -> "click.ParamType[Any]":  # what it converts to is unused
    """Return what TAB completes: values, files, or nothing."""
    if name in CHOICES:
        return click.Choice(CHOICES[name])
    return click.Path() if metavar == "FILE" else click.STRING


class _Option(click.Option):
    """An option of which ``--help`` may show only one name."""

    def __init__(self, *arguments: Any, shown: str = "", **attributes: Any) -> None:  # click's
        super().__init__(*arguments, **attributes)
        self._shown = shown

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return (self._shown, record[1]) if record and self._shown else record


def _commands(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the command that takes the place of the first target."""
    first = not context.params.get("targets")
    return [CompletionItem("report")] if first and "report".startswith(incomplete) else []


class PushCommand(click.Command):
    """The command with its help in groups, and messages for arguments that it does not take."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reject secrets and flags with values before click misinterprets them."""
        words = args[: args.index("--")] if "--" in args else args
        for word, following in pairwise([*words, ""]):
            name, equals, value = word.partition("=")
            if name in _SECRETS:
                raise click.UsageError(_secret_refusal(_SECRETS[name]), ctx)
            if name in FLAGS and (equals or following.lower() in {"true", "false"}):
                raise click.UsageError(_flag_refusal(name, value or following), ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples, the groups of options, variables and exit statuses."""
        with formatter.section("Examples"):
            formatter.write(_EXAMPLES)
        options = {_name(each): each for each in self.get_params(ctx)}
        for title, names in GROUPS.items():
            records = (options[name].get_help_record(ctx) for name in names)
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])
        with formatter.section("Environment"):
            formatter.write_dl(_variables())
        with formatter.section("Exit status"):
            formatter.write_dl(_EXIT_STATUS)


def _name(parameter: click.Parameter) -> str:
    """Return a parameter's name in the groups: that of its longest option."""
    return max(parameter.opts, key=len).removeprefix("--")


def _variables() -> list[tuple[str, str]]:
    secrets = [
        (variable(each.name), each.description.replace("`", "")) for each in INPUTS if each.secret
    ]
    return [
        *secrets,
        (f"{PREFIX}NAME", "The default of any option --NAME, as GHCR_PUSH_DRY_RUN=true."),
        ("DOCKER_CONFIG", "Folder of Docker's configuration, for other credentials."),
        ("NO_COLOR", "No colours if it is set."),
    ]


def _secret_refusal(each: Input) -> str:
    way = f" or {_PASSWORD}" if each.name == "password" else ""
    return (
        f"{each.option} is not an option, since every user of the machine can read command "
        f"lines: use the variable {variable(each.name)}{way}."
    )


def _flag_refusal(name: str, value: str) -> str:
    each = FLAGS[name]
    on = (value.lower() != "false") != name.startswith("--no-")
    wanted = each.option if on else f"--no-{each.name}"
    return f"{name} is a flag and takes no value: write {wanted}."


def values(
    targets: Sequence[str], given: Mapping[str, Any], environ: Mapping[str, str], stdin: str | None
) -> dict[str, str]:
    """Return the inputs' texts: from the command line, else from ``environ``.

    ``stdin`` is the list for a target ``-``.
    """
    texts = {
        each.name: environ[variable(each.name)]
        for each in INPUTS
        if each.name not in NOT_HERE and variable(each.name) in environ
    }
    for parameter, value in given.items():
        name = parameter.replace("_", "-")
        if isinstance(value, bool):
            texts[name] = str(value).lower()
        elif value:
            texts[name] = "\n".join(value) if name in LISTS else _only(name, value)
    if listed := [*targets, *given.get("tags", ())]:
        texts["tags"] = _joined([stdin or "" if each == "-" else each for each in listed])
    return texts


def _only(name: str, given: Sequence[str]) -> str:
    if len(set(given)) > 1:
        values = " and ".join(map(repr, given))
        raise click.UsageError(f"{INPUT_BY_NAME[name].option} has one value, not {values}.")
    return given[0]


def _joined(listed: Sequence[str]) -> str:
    """Join targets, one per line; if there are several, a JSON array among them is expanded."""
    if len(listed) == 1:
        return listed[0]
    return "\n".join(map(_lines, listed))


def _lines(text: str) -> str:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        document = json.loads(text)
        entries = document["tags"] if isinstance(document, dict) else document
        return "\n".join(entries)
    except (ValueError, KeyError, TypeError):
        return text  # an address such as [::1]:5000/app:1, or an error for the validation


def unknown_variables(environ: Iterable[str]) -> list[tuple[str, str]]:
    """Pair unknown variables with our prefix with the nearest known one, or nothing."""
    known = {variable(each.name) for each in INPUTS}
    known |= {variable(name) for name in _OWN_VARIABLES}
    return [
        (name, next(iter(get_close_matches(name, known, n=1, cutoff=0.85)), ""))
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    ]
