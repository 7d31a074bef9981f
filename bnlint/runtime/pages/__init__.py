"""The reports of what was executed: for the terminal, as JSON, and as one page for the browser.

All three show an ``account.Account``, which is made of an ``Observed`` or a ``Verification`` and of the findings. The
libraries that draw and print (rich, Jinja2, Matplotlib) are in the extra ``runtime``.
"""
