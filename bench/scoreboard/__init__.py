"""What the models are worth on data with labels: every figure from a run, beside the published one, bad ones included.

A set is a module with `run(data, folder)`: `data` is the folder of data sets, `folder` an empty one to work in. It
gives JSON-able `protocol` and `guards` (text), `rows` and `published` (figures by name, one table), and where it has
them `title`, `published_note`, `tables` (further ones by title), `aims` (`aims.aim`), `findings` (sentences made from
figures) and `failed` (what could not be had, why).
"""
