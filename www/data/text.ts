// A table as CSV or JSON. Runs in the worker.

import type { TableData } from "./table";

/** RFC 4180; nothing where there is no value. */
export function toCsv({ rows, columns }: TableData): string[] {
  const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [`${columns.map(({ name }) => quote(name)).join(",")}\r\n`];
  for (let row = 0; row < rows; row++) {
    const cells = columns.map((column) => {
      if (column.kind === "text") return quote(column.values[row] ?? "");
      const value = column.values[row] ?? NaN;
      if (Number.isNaN(value)) return "";
      return column.kind === "bool" ? (value === 1 ? "true" : "false") : String(value);
    });
    lines.push(`${cells.join(",")}\r\n`);
  }
  return lines;
}

/** An array of objects, one a row; null where there is no value. */
export function toJson({ rows, columns }: TableData): string[] {
  const lines: string[] = [];
  for (let row = 0; row < rows; row++) {
    const cells = columns.map((column) => {
      if (column.kind === "text") return [column.name, column.values[row] ?? ""];
      const value = column.values[row] ?? NaN;
      return [column.name, Number.isNaN(value) ? null : column.kind === "bool" ? value === 1 : value];
    });
    lines.push(`${row === 0 ? "[\n" : ""}${JSON.stringify(Object.fromEntries(cells))}${row === rows - 1 ? "\n]\n" : ",\n"}`);
  }
  return rows === 0 ? ["[]\n"] : lines;
}
