"""JUnit XML: the test cases of one program, written so that every reader of JUnit understands them."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

# What XML 1.0 cannot hold, not even escaped.
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Case:
    """One test: kind is None when it passed, else "failure", "error" or "skipped"."""

    classname: str
    name: str
    seconds: float = 0.0
    kind: str | None = None
    type: str = ""
    message: str = ""
    text: str = ""


def clean(text):
    return UNPRINTABLE.sub("\ufffd", text)


def with_unique_names(cases):
    """Readers merge cases of one name, so that a failure can hide: the second gets a number."""
    seen = {}
    for case in cases:
        key = (case.classname, case.name)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            case.name = f"{case.name} #{seen[key]}"
    return cases


def tree(suite, cases, log=""):
    count = lambda kind: str(sum(case.kind == kind for case in cases))
    root = ET.Element("testsuites")
    top = ET.SubElement(root, "testsuite", name=suite, tests=str(len(cases)),
                        failures=count("failure"), errors=count("error"), skipped=count("skipped"),
                        time=f"{sum(case.seconds for case in cases):.3f}")
    for case in with_unique_names(cases):
        element = ET.SubElement(top, "testcase", classname=clean(case.classname),
                                name=clean(case.name), time=f"{case.seconds:.3f}")
        if case.kind == "skipped":
            ET.SubElement(element, "skipped", message=clean(case.message))
        elif case.kind:
            problem = ET.SubElement(element, case.kind, type=case.type, message=clean(case.message))
            problem.text = clean(case.text or case.message)
    if log and any(case.kind in ("failure", "error") for case in cases):
        ET.SubElement(top, "system-out").text = clean(log)
    ET.indent(root)
    return ET.ElementTree(root)


def write(path, suite, cases, log=""):
    tree(suite, cases, log).write(path, encoding="utf-8", xml_declaration=True)


def totals(path):
    """(passed, failed, skipped, [names of the failed]) of one report."""
    passed, skipped, failed = 0, 0, []
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}: {case.get('name')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, len(failed), skipped, failed
