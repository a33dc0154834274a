"""Tables: every member of a small search space trained once, so that searches can be repeated.

``table`` reads and queries one without torch, ``training`` and ``build`` make one, ``simulate``
repeats searches on it, ``noise`` says what can be told apart.
"""
