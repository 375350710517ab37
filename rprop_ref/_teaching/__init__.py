"""What makes runs visible: the store behind `Trace`, how it watches an optimizer, tables to fill in by hand."""
