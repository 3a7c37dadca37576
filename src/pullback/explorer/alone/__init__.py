"""The explorer as one file that needs no Python: what it holds, and how it is put together."""

from pullback.explorer.alone.page import check_out, export_page, write_page

__all__ = ["check_out", "export_page", "write_page"]
