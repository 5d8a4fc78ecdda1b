"""Paths that a job names: what stands for what, and what lies where."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import job as jobfile
from tests.job.conftest import Write, at, items, problems


def test_a_variable_of_the_environment_stands_for_its_value(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_OUT", "here")
    monkeypatch.setenv("NIGHT", "7")
    job = jobfile.load(write("output: $SHOP_OUT/${NIGHT}x\nstate_dir: /s/$NIGHT-y\nprompts: [a]"))
    assert (job.output, job.state_dir) == (Path("here/7x"), Path("/s/7-y"))


@pytest.mark.parametrize("key", ["output", "state_dir"])
@pytest.mark.parametrize(
    ("text", "message", "cure"),
    [
        ("$NOT_SET_AT_ALL/x", "$NOT_SET_AT_ALL is not set", "set NOT_SET_AT_ALL"),
        ("x/${NOT_SET_AT_ALL}", "$NOT_SET_AT_ALL is not set", "$$"),
        ("$EMPTY_ONE/x", "$EMPTY_ONE is not set", "set EMPTY_ONE"),
        ("${HOME:-x}", "${ does not begin a name in braces", "${NAME}"),
        ("${}", "${ does not begin a name in braces", "${NAME}"),
        ("$AIML_API_KEY/x", "$AIML_API_KEY looks like a secret", "without it"),
    ],
)
def test_a_variable_that_stands_for_nothing_is_a_mistake(
    write: Write, monkeypatch: pytest.MonkeyPatch, key: str, text: str, message: str, cure: str
) -> None:
    monkeypatch.setenv("EMPTY_ONE", "")
    monkeypatch.setenv("AIML_API_KEY", "sk-never-shown")
    (problem,) = problems(write(f"{key}: '{text}'\nprompts: [a]"))
    assert at(problem) == f"job.yaml:1:{len(key) + 3}"
    assert message in problem.message
    assert cure in problem.cure
    assert "sk-never-shown" not in str(problem)


@pytest.mark.parametrize(
    ("text", "folder"), [("a$$b", "a$b"), ("$$HOME", "$HOME"), ("a$5", "a$5"), ("%HOME%$", "%HOME%$")]
)
def test_a_dollar_sign_can_be_written(write: Write, text: str, folder: str) -> None:
    job = jobfile.load(write(f"output: '{text}'\nstate_dir: '{text}'\nprompts: [a]"))
    assert (job.output, job.state_dir) == (Path(folder), Path(folder))


def test_the_command_line_is_taken_as_the_shell_left_it(write: Write) -> None:
    job = jobfile.load(write("output: $NOT_SET_AT_ALL\nprompts: [a]"), output="$NOT_SET_AT_ALL/$$")
    assert job.output == Path("$NOT_SET_AT_ALL/$$")


def test_a_tilde_is_the_home_in_both_folders(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/test")
    job = jobfile.load(write("output: ~/a\nstate_dir: ~/b\nprompts: [a]"))
    assert (job.output, job.state_dir) == (Path("/home/of/test/a"), Path("/home/of/test/b"))


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of a user that the system has no entry of, without HOME."""

    def no_entry(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_an_output_is_as_good_as_any(write: Write) -> None:
    assert jobfile.load(write("output: out\nprompts: [a]")).output == Path("out")
    assert "the root" in problems(write("output: /\nprompts: [a]"))[0].message
    (problem,) = problems(write("output: ~/out\nprompts: [a]"))
    assert "there is no such home folder" in problem.message
    assert "set HOME" in problem.cure


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the file system's encoding is UTF-8 whatever the locale")
@pytest.mark.parametrize("job", ["output: grün/å", "state_dir: 猫", "name: x", "output: ~/ü"])
def test_a_path_that_the_locale_has_no_signs_for_is_named(tmp_path: Path, job: str) -> None:
    file = "prompts: [{file: ü.csv}]" if job == "name: x" else "prompts: [a]"
    (tmp_path / "job.yaml").write_text(f"{job}\n{file}\n", encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/h"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "plan", "job.yaml"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "the locale's encoding (ascii) has no sign for" in done.stderr
    assert "LC_ALL=C.UTF-8" in done.stderr


def test_a_link_that_the_jobs_folder_holds_may_lead_anywhere(tmp_path: Path) -> None:
    folder, store = tmp_path / "jobs", tmp_path / "store"
    folder.mkdir()
    store.mkdir()
    (store / "5f3a").write_text("prompt\nx\n")
    (store / "more.csv").write_text("prompt\ny\n")
    (folder / "link.csv").symlink_to("../store/5f3a")
    (folder / "data").symlink_to(store)
    path = folder / "job.yaml"
    path.write_text("prompts: [{file: link.csv}, {file: data/more.csv}]")
    job = jobfile.load(path)
    assert [item.prompt for item in jobfile.expand(job)] == ["x", "y"]
    assert list(job.digests) == [path, folder / "link.csv", folder / "data" / "more.csv"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../gone.csv", "there is no such file (it is a link to ../gone.csv)"),
        ("link.csv", "(it is a link to link.csv)"),
        ("..", "it is a folder (it is a link to ..)"),
        ("/dev/null", "it is no regular file (it is a link to /dev/null)"),
    ],
)
def test_a_link_that_is_refused_is_named_with_its_target(
    write: Write, tmp_path: Path, target: str, message: str
) -> None:
    path = write("prompts: [{file: link.csv}]")
    (tmp_path / "link.csv").symlink_to(target)
    (problem,) = problems(path)
    assert message in problem.message


def test_a_linked_job_finds_its_lists_beside_the_link_and_then_beside_itself(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (other / "job.yaml").write_text("prompts: [{file: list.txt}]")
    (other / "list.txt").write_text("beside the target\n")
    (one / "job.yaml").symlink_to("../other/job.yaml")
    assert [item.prompt for item in items(one / "job.yaml")] == ["beside the target"]
    (one / "list.txt").write_text("beside the link\n")
    assert [item.prompt for item in items(one / "job.yaml")] == ["beside the link"]


@pytest.mark.parametrize(
    ("there", "asked", "cure"),
    [
        ("products.csv", "product.csv", "did you mean DIR/products.csv?"),
        ("Products.CSV", "products.csv", "did you mean DIR/Products.CSV?"),
        ("products.csv", "products.tsv", "did you mean DIR/products.csv?"),
        ("unlike.csv", "products.csv", "check the path"),
    ],
)
def test_a_list_that_is_not_there_is_told_with_the_likeliest_one(
    write: Write, tmp_path: Path, there: str, asked: str, cure: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / there).write_text("prompt\nx\n")
    (problem,) = problems(write(f"prompts: [{{file: data/{asked}}}]"))
    assert "there is no such file" in problem.message
    assert problem.cure == cure.replace("DIR", str(tmp_path / "data"))


def test_a_job_that_is_not_there_is_told_with_the_likeliest_one(write: Write, tmp_path: Path) -> None:
    write("prompts: [a]")
    (problem,) = problems(tmp_path / "jop.yaml")
    assert problem.cure == f"did you mean {tmp_path / 'job.yaml'}?"
