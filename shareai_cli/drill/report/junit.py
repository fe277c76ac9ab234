"""A report as JUnit XML, which continuous integration reads (dialects: github.com/testmoapp/junitxml)."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Tree

from shareai_cli.drill.outcome import Finding, Report, Verdict
from shareai_cli.drill.report.words import attempts_of, chain, failure, summary
from shareai_cli.drill_types import CHECKS

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to hold (section 2.2)."""


def as_junit(report: Report) -> str:
    """Return the whole document: a suite for each check, an error for what could not be run."""
    root = Tree.Element("testsuites", name="shareai smoke-test")
    _count(root, report.findings)
    for check in CHECKS:
        findings = [one for one in report.findings if one.check == check]
        if findings:
            suite = Tree.SubElement(root, "testsuite", name=check)
            _count(suite, findings)
            for one in findings:
                suite.append(_case(one))
    Tree.SubElement(root[-1] if len(root) else root, "system-out").text = _written(summary(report))
    Tree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Tree.tostring(root, encoding="unicode") + "\n"


def _count(element: Tree.Element, findings: list[Finding] | tuple[Finding, ...]) -> None:
    counted = {
        "tests": len(findings),
        "failures": sum(one.verdict is Verdict.FAILED for one in findings),
        "errors": sum(one.verdict is Verdict.BLOCKED for one in findings),
        "skipped": sum(one.verdict is Verdict.SKIPPED for one in findings),
    }
    for name, number in counted.items():
        element.set(name, str(number))
    element.set("time", f"{sum(one.seconds for one in findings):.3f}")


def _case(finding: Finding) -> Tree.Element:
    case = Tree.Element(
        "testcase",
        classname=_written(f"{finding.check}.{finding.subject}"),
        name=_written(finding.case),
        time=f"{finding.seconds:.3f}",
    )
    words = "\n".join(f"{word}: {text}" for word, text in failure(finding))
    if finding.verdict is Verdict.FAILED:
        Tree.SubElement(case, "failure", message=_written(finding.happened)).text = _written(words)
    elif finding.verdict is Verdict.BLOCKED:
        Tree.SubElement(case, "error", message=_written(finding.happened)).text = _written(words)
    elif finding.verdict is Verdict.SKIPPED:
        Tree.SubElement(case, "skipped", message=_written(finding.happened))
    if attempts := attempts_of(finding):
        Tree.SubElement(case, "system-out").text = _written(chain(attempts))
    return case


def _written(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
