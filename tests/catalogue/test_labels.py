"""Labels of components in tables."""

from syncbench.bench.catalogue.registry import label


def test_paths_inside_a_table_of_a_field_are_shortened_one_by_one() -> None:
    nets = '{"depth": "/data/a b/depth", "edges": "owner/name"}'
    assert label("t2i_adapter", {"nets": nets}) == 't2i_adapter[nets={"depth": "depth", "edges": "name"}]'
    assert label("prompts", {"path": "mine/p.txt"}) == "prompts[path=p.txt]"
