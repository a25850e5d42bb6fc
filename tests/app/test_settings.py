from __future__ import annotations

import ast
import contextlib
import inspect
from pathlib import Path

import platformdirs
import pytest
from continualcode_tui.app import settings as module
from continualcode_tui.app.cli import HELP
from continualcode_tui.app.settings import Settings, SettingsError, load_settings
from continualcode_tui.training.protocol import Load
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st


def user_file(text: str) -> Path:
    path = Path(platformdirs.user_config_dir("continualcode-tui")) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def error_of(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


def test_the_defaults(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.engine == "practice"
    assert settings.enable_training is True
    assert settings.auto_approve_readonly is True
    assert settings.worker_argv() is None
    assert settings.data_dir == Path(platformdirs.user_data_dir("continualcode-tui"))


NUMBERS = st.one_of(st.none(), st.integers(1, 99))


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(argument=NUMBERS, variable=NUMBERS, file=NUMBERS)
def test_an_argument_beats_a_variable_beats_the_file(
    argument: int | None, variable: int | None, file: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if variable is not None:
            patch.setenv("CONTINUALCODE_LORA_RANK", str(variable))
        user_file(f"lora_rank = {file}" if file is not None else "")
        given_arguments = [f"lora_rank={argument}"] if argument is not None else []
        given_values = [value for value in (argument, variable, file) if value is not None]
        assert load_settings(given_arguments).lora_rank == [*given_values, 16][0]


@hypothesis_settings(max_examples=30, deadline=None)
@given(
    sources=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from(["argument", "variable"]),
            "seed": st.sampled_from(["argument", "variable"]),
            "max_tokens": st.sampled_from(["argument", "variable"]),
        },
    )
)
def test_every_source_counts_on_its_own(sources: dict[str, str]) -> None:
    values = {"temperature": 0.5, "seed": 5, "max_tokens": 50}
    with pytest.MonkeyPatch.context() as patch:
        arguments = []
        for name, source in sources.items():
            if source == "argument":
                arguments.append(f"{name}={values[name]}")
            else:
                patch.setenv(f"CONTINUALCODE_{name.upper()}", str(values[name]))
        settings = load_settings(arguments)
    for name, default in {"temperature": 0.3, "seed": 0, "max_tokens": 1024}.items():
        assert getattr(settings, name) == (values[name] if name in sources else default)


def test_the_file_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user_file("seed = 1")
    (tmp_path / "other.toml").write_text("seed = 2")
    (tmp_path / "third.toml").write_text("seed = 3")
    assert load_settings().seed == 1
    monkeypatch.setenv("CONTINUALCODE_CONFIG_FILE", str(tmp_path / "other.toml"))
    assert load_settings().seed == 2
    assert load_settings([f"config_file={tmp_path / 'third.toml'}"]).seed == 3


def test_nothing_is_read_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.toml", "continualcode-tui.toml", "pyproject.toml", ".env"):
        (tmp_path / name).write_text("seed = 9\nCONTINUALCODE_SEED=9\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings().seed == 0


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "on"])
def test_switches_take_what_people_write(value: str) -> None:
    assert load_settings([f"enable_training={value}"]).enable_training is True
    assert load_settings(["--enable-training=off"]).enable_training is False


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("modle_name=x", "did you mean model_name?"),
        ("leraning_rate=1", "did you mean learning_rate?"),
        ("zzzzzz=1", "--help"),
        ("hello", "key=value"),
        ("engine=loca", "did you mean local?"),
        ("engine=gpu", "'practice', 'local' or 'tinker'"),
        ("lora_rank=many", "integer"),
        ("lora_rank=0", "greater than or equal to 1"),
        ("temperature=nan", "finite"),
        ("temperature=3", "less than or equal to 2"),
        ("enable_training=perhaps", "boolean"),
        ("engine=local", "model_name"),
        ("model_name=Qwen/Qwen3-0.6B", "engine=local"),
        ("base_url=http://localhost", "base_url needs engine=tinker"),
        ("worker_command=ssh 'gpu", "quotation"),
        ("worker_command= ", "empty"),
        ("config_file=/no/such/file", "does not exist"),
    ],
)
def test_a_bad_argument_is_one_sentence(argument: str, words: str) -> None:
    assert words in error_of(argument)


def test_where_the_bad_value_stands_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    path = user_file("seed = 'x'")
    assert str(path) in error_of()
    user_file("sede = 1")
    assert "did you mean seed?" in error_of()
    user_file("seed = [")
    assert "TOML" in error_of()
    user_file("")
    monkeypatch.setenv("CONTINUALCODE_SEDE", "1")
    assert "CONTINUALCODE_SEED?" in error_of()
    monkeypatch.delenv("CONTINUALCODE_SEDE")
    monkeypatch.setenv("CONTINUALCODE_SEED", "x")
    assert "CONTINUALCODE_SEED" in error_of()


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_argument_is_taken_or_refused_in_words(key: str, value: str) -> None:
    with contextlib.suppress(SettingsError):
        load_settings([f"{key}={value}"])


def test_folders_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(["data_dir=here"]).data_dir == tmp_path / "here"
    assert load_settings(["data_dir=~/there"]).data_dir == tmp_path / "home" / "there"


def test_the_worker_command_is_split_like_a_shell_does() -> None:
    command = "worker_command=ssh 'gpu box' continualcode-tui worker"
    assert load_settings([command]).worker_argv() == [
        "ssh",
        "gpu box",
        "continualcode-tui",
        "worker",
    ]


def test_every_setting_has_its_sentence_and_its_place_in_the_help() -> None:
    (tree,) = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    documented = {
        field.target.id
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
    }
    assert documented == set(Settings.model_fields)
    assert [name for name in Settings.model_fields if f"{name}=" not in HELP] == []


def test_the_wire_has_the_same_defaults() -> None:
    load = Load(id=1, engine="practice", repository="r")
    settings = load_settings()
    for name in set(Settings.model_fields) & set(Load.model_fields) - {"data_dir"}:
        assert getattr(load, name) == getattr(settings, name), name


def test_tinker_is_the_engine_where_there_is_a_key_and_none_is_named(tmp_path: Path) -> None:
    key = {"TINKER_API_KEY": "tml-x"}
    assert load_settings([], key).engine == "tinker"
    assert load_settings(["engine=practice"], key).engine == "practice"
    assert load_settings([], {**key, "CONTINUALCODE_ENGINE": "practice"}).engine == "practice"
    assert load_settings([], {"TINKER_CREDENTIAL_CMD": "pass tinker"}).engine == "tinker"
    home = {"HOME": str(tmp_path)}
    assert load_settings([], home).engine == "practice"
    (tmp_path / ".tinker").mkdir()
    (tmp_path / ".tinker" / "credentials.json").write_text("{}")
    assert load_settings([], home).engine == "tinker"
