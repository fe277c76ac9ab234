"""A drill's report in the forms that programs and people read."""

from shareai_cli.drill.report.as_fields import as_fields, as_record, finding_as_fields
from shareai_cli.drill.report.html import as_html
from shareai_cli.drill.report.junit import as_junit

__all__ = ["as_fields", "as_html", "as_junit", "as_record", "finding_as_fields"]
