"""Reports: Markdown tables of OOD metrics, of predictions, and of shifts of specimens."""
