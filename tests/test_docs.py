"""The documents are true: their Python examples run, their links and file names exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
DOCUMENTS = list(dict.fromkeys(DOCUMENTS))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
SHELL_BLOCK = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_python_examples_give_the_results_shown(document: Path, in_empty_folder: Path) -> None:
    result = doctest.testfile(str(document), module_relative=False, optionflags=FLAGS)
    assert result.failed == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_between_documents_lead_to_files(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", text)
    assert [t for t in targets if not (document.parent / t).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_files_named_in_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"`((?:adgraph|tests|docs|notebooks|benchmarks)/[\w/.]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_first_two_shell_blocks_of_the_readme_install_from_nothing() -> None:
    blocks = SHELL_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    job, tests = blocks[:2]
    assert job.startswith("python3 -m venv")
    assert "-m adgraph demo" in job
    assert tests.startswith("python3 -m venv")
    assert "pytest" in tests
