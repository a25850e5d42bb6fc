"""The settings, from four places: arguments, environment, the user's file, defaults.

Nothing is ever read from the repository that the program works in.
"""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ..themes.names import AUTO, ThemeName, short_name
from ..training.protocol import (
    AdapterScope,
    EngineName,
    LoraTargets,
    Objective,
    Support,
    TeacherKind,
)
from .early import SettingsError, usual_config_file
from .sandbox.gate import Mode as SandboxMode
from .store.paths import APP_NAME

Notify = Literal["both", "bell", "title", "off"]
PREFIX = "CONTINUALCODE_"
CONFIG_FILE = "config_file"


def _default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False))


class Settings(BaseSettings):
    """What can be set, and what it means."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
    )

    engine: EngineName = "practice"
    """Which engine runs the model: the practice one, a local one, or Tinker (if there is a key)."""

    model_name: str | None = None
    """The model of `engine=local` (a hub name or the path of a folder) or `engine=tinker`."""

    base_url: str | None = None
    """The address of the Tinker service, where it is not the usual one."""

    enable_training: bool = True
    """Whether corrections become lessons; otherwise they stay in the conversation only."""

    lora_rank: int = Field(default=16, ge=1, le=512)
    """The rank of the adapter."""

    lora_targets: LoraTargets = "all"
    """Which linear layers the adapter changes."""

    adapter_scope: AdapterScope = "answer"
    """Where the adapter is active: in the model's answers, or everywhere."""

    objective: Objective | None = None
    """What a step minimises; the engine's own choice when it is not set."""

    jsd_alpha: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """The teacher's part in the mixture of `objective=jsd`: 0 is forward KL, 1 reverse KL."""

    top_k: int | None = Field(default=None, ge=0)
    """How many of the likeliest tokens the objective compares; 0 is the whole vocabulary."""

    support: Support | None = None
    """Whose likeliest tokens `top_k` means."""

    token_clip: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The most nats that one token may add to the loss; 0 sets no bound."""

    teacher: TeacherKind | None = None
    """Whose weights the teacher has."""

    teacher_model: str | None = None
    """Another model of the Tinker service that teaches; it needs the same tokenizer."""

    teacher_checkpoint: str | None = None
    """A Tinker checkpoint that teaches."""

    teacher_sync_every: int = Field(default=5, ge=1)
    """After how many lessons the teacher of `teacher=synced` takes the student's weights."""

    teacher_rate: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """How fast a moving average follows, or how far a trust region reaches."""

    learning_rate: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    """The step size; the engine's own choice when it is not set."""

    kl_coef: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How strongly a step is held to the base model; the engine's own choice when not set."""

    kl_budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """How far a lesson may move unrelated answers, in nats an answer."""

    max_steps: int | None = Field(default=None, ge=1, le=1000)
    """The most steps one lesson may take."""

    load_checkpoint_path: str | None = None
    """The Tinker checkpoint to start from, instead of the newest of this repository."""

    save_every: int = Field(default=10, ge=1)
    """After how many lessons a snapshot is kept for good; with Tinker, saved on the service."""

    check_every: int = Field(default=5, ge=0)
    """After how many learned lessons all of them are asked again, when idle; 0 is never."""

    temperature: float = Field(default=0.3, ge=0, le=2, allow_inf_nan=False)
    """The temperature that turns are sampled at."""

    max_tokens: int = Field(default=1024, ge=1, le=131072)
    """The most tokens of one turn; never more than half of the model's context."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """The seed of sampling and of the adapter's first weights."""

    auto_approve_readonly: bool = True
    """Whether read, glob and grep inside the repository run without asking."""

    bash_timeout: float = Field(default=120, gt=0, le=86400, allow_inf_nan=False)
    """The seconds after which a command is stopped."""

    sandbox: SandboxMode = "auto"
    """The boundary of commands: the best that works, only the full one, or none."""

    sandbox_read: str | None = None
    """Folders below your home that commands may read, with `:` between."""

    sandbox_env: str | None = None
    """Further variables of yours that commands get, with `,` between; a key only if named here."""

    worker_command: str | None = None
    """The command that starts the worker, e.g. `ssh gpu-box continualcode-tui worker`."""

    theme: ThemeName = AUTO
    """The colours of the screen; with `auto` the terminal's background decides, dark or light."""

    keymap: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Other keys for the ids that the help shows: a table in the file, `id=keys;id=keys` else."""

    notify: Notify = "both"
    """How you are called when the terminal is not in front and the agent waits for you."""

    data_dir: Path = Field(default_factory=_default_data_dir)
    """The folder of lessons, adapters, conversations and logs."""

    arm_delay: float = Field(default=0.4, ge=0, le=60, allow_inf_nan=False)
    """The seconds before the keys of a new proposal are taken."""

    _arguments: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments that were given at the start."""
        return self._arguments

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the user's file; defaults come last."""
        del dotenv_settings, file_secret_settings
        arguments = init_settings().copy()
        file = arguments.pop(CONFIG_FILE, None)
        return (
            InitSettingsSource(settings_cls, arguments),
            env_settings,
            TomlConfigSettingsSource(settings_cls, file),
        )

    @field_validator("keymap", mode="before")
    @classmethod
    def _split_keymap(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        pairs = [pair.partition("=") for pair in given.split(";") if pair.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("id=keys, several of them with ; between")
        return {name.strip(): keys.strip() for name, _, keys in pairs}

    @field_validator("data_dir", mode="after")
    @classmethod
    def _make_absolute(cls, folder: Path) -> Path:
        return folder.expanduser().absolute()

    @field_validator("theme", mode="before")
    @classmethod
    def _short_name(cls, name: object) -> object:
        return short_name(name) if isinstance(name, str) else name

    @field_validator("worker_command", mode="after")
    @classmethod
    def _can_be_split(cls, command: str | None) -> str | None:
        if command is not None and not shlex.split(command):
            raise ValueError("an empty command")
        return command

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.engine == "local" and not self.model_name:
            raise ValueError("engine=local needs model_name=…, a hub name or a folder")
        if self.engine == "practice" and self.model_name:
            raise ValueError("model_name needs engine=local or engine=tinker beside it")
        for name in ("base_url", "load_checkpoint_path", "teacher_model", "teacher_checkpoint"):
            if getattr(self, name) and self.engine != "tinker":
                raise ValueError(f"{name} needs engine=tinker beside it")
        return self

    def sandbox_folders(self) -> tuple[Path, ...]:
        """The folders that commands may read besides what they see anyway."""
        names = (self.sandbox_read or "").split(os.pathsep)
        return tuple(Path(name.strip()).expanduser() for name in names if name.strip())

    def sandbox_variables(self) -> tuple[str, ...]:
        """The variables that commands get besides those that they get anyway."""
        return tuple(name.strip() for name in (self.sandbox_env or "").split(",") if name.strip())

    def worker_argv(self) -> list[str] | None:
        """The worker's command as a list, or None for the usual one."""
        return shlex.split(self.worker_command) if self.worker_command else None


def config_file_for(arguments: Mapping[str, str], environ: Mapping[str, str]) -> Path | None:
    """Find the user's file; None when there is none and none was asked for."""
    variable = PREFIX + CONFIG_FILE.upper()
    _refuse_relative(environ.get(variable), f"the environment variable {variable}")
    named = arguments.get(CONFIG_FILE) or environ.get(variable)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise SettingsError(f"The settings file {path} does not exist; check config_file.")
        return path
    usual = usual_config_file()
    return usual if usual.is_file() else None


def load_settings(
    arguments: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Settings:
    """Read every source and check it; the first thing wrong is a `SettingsError`."""
    environ = os.environ if environ is None else environ
    given = parse_arguments(arguments)
    file = config_file_for(given, environ)
    _check_environment(environ)
    in_file = read_file(file)
    variable = f"{PREFIX}DATA_DIR"
    _refuse_relative(environ.get(variable), f"the environment variable {variable}")
    _refuse_relative(in_file.get("data_dir"), f"data_dir in {file}")
    values: dict[str, Any] = {**given, CONFIG_FILE: file}
    in_environment = any(name.upper() == f"{PREFIX}ENGINE" for name in environ)
    if not (in_environment or "engine" in given or "engine" in in_file):
        values |= {"engine": "tinker"} if has_service_key(environ) else {}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, given, in_file, file)) from None
    settings._arguments = given
    return settings


def _refuse_relative(path: object, where: str) -> None:
    """Refuse a standing path that would lead into whatever repository is worked in."""
    if isinstance(path, str) and path and not Path(path).expanduser().is_absolute():
        raise SettingsError(f"The path {path} of {where} is relative; write the whole path.")


def has_service_key(environ: Mapping[str, str]) -> bool:
    """Whether the Tinker SDK would find a key, a command that prints one, or a login."""
    if environ.get("TINKER_API_KEY") or environ.get("TINKER_CREDENTIAL_CMD"):
        return True
    home = environ.get("HOME")
    return home is not None and (Path(home) / ".tinker" / "credentials.json").is_file()


def parse_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """Split `key=value` arguments; the last one wins."""
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        name = key.lstrip("-").replace("-", "_")
        if not equals:
            raise SettingsError(
                f"{argument!r} is not a setting; settings are written key=value, "
                "for example temperature=0.2."
            )
        _check_name(name, f"the argument {argument!r}")
        given[name] = value
    return given


def _check_environment(environ: Mapping[str, str]) -> None:
    for variable in environ:
        if variable.upper().startswith(PREFIX):
            name = variable[len(PREFIX) :].lower()
            _check_name(name, f"the environment variable {variable}", PREFIX)


def read_file(file: Path | None) -> Mapping[str, Any]:
    """What the user's file says; raises `SettingsError`."""
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"The settings file {file} is not valid TOML: {error}.") from None
    for name in content:
        if name == CONFIG_FILE:
            raise SettingsError(f"The settings file {file} cannot name another config_file.")
        _check_name(name, f"the settings file {file}")
    return content


def _check_name(name: str, where: str, prefix: str = "") -> None:
    known = [*Settings.model_fields, CONFIG_FILE]
    if name in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    shown = [prefix + known_name.upper() if prefix else known_name for known_name in near]
    advice = f"did you mean {shown[0]}?" if near else "--help lists every setting."
    unknown = (prefix + name.upper()) if prefix else name
    raise SettingsError(f"Unknown setting {unknown} in {where}; {advice}")


def _explain(
    error: ValidationError,
    given: Mapping[str, str],
    in_file: Mapping[str, Any],
    file: Path | None,
) -> str:
    """Make one sentence of the first thing that pydantic found."""
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return f"The settings do not fit together: {message}."
    name = str(problem["loc"][0])
    message = message.removeprefix("Input should be ").removesuffix(".")
    value = problem["input"]
    if name in given:
        where = ""
    elif PREFIX + name.upper() in {variable.upper() for variable in os.environ}:
        where = f" (from the environment variable {PREFIX}{name.upper()})"
    else:
        where = f" (from {file})" if name in in_file else ""
    return f"{name}={value} cannot be used{where}: it should be {message}{_nearest(problem)}"


def _nearest(problem: Mapping[str, Any]) -> str:
    """For a choice, the allowed value that looks most like what was given."""
    if problem["type"] != "literal_error":
        return "."
    import re
    from difflib import get_close_matches

    allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
    near = get_close_matches(str(problem["input"]), allowed, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "."
