"""What is amiss with a node, and what to do about it: ``accord-node doctor``.

``gather`` reads what there is and writes nothing, ``facts`` is what it hands on, and
``checks`` judges that: pure, one function for each check. What each of them
means stands in ``docs/operations.md``.
"""
