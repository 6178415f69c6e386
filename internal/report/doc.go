// Package report writes findings in the forms that people and programs read: text for a terminal, one JSON object a line,
// one JSON document, SARIF 2.1.0 for code-scanning tools, and CSV for spreadsheets. It also writes how far everything that is
// watched has been scanned, as CSV for auditors.
//
// Values are masked in every form unless the caller asks for them. Text that comes from repositories can't break out:
// control characters are replaced, and a CSV cell that a spreadsheet would take for a formula is quoted.
package report
