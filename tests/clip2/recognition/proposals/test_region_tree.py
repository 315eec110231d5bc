from clip2.recognition.proposals.region_tree import Cluster, choose_clusters


def cluster(node, value, children=(), riders=()):
    return Cluster(node, 1, 0.0, list(children), list(riders), value)


def nodes(*roots):
    return [chosen.node for chosen in choose_clusters(list(roots))]


def test_a_whole_is_kept_where_it_is_worth_more_than_its_parts():
    assert nodes(cluster(0, 5, [cluster(1, 2), cluster(2, 2)])) == [0]
    assert nodes(cluster(0, 3, [cluster(1, 2), cluster(2, 2)])) == [1, 2]
    assert nodes(cluster(0, 3, [cluster(1, 1, [cluster(3, 2), cluster(4, 2)])])) == [3, 4]


def test_what_is_worth_nothing_is_left_out():
    assert nodes(cluster(0, 0), cluster(1, 1)) == [1]


def test_what_stands_on_a_cluster_comes_after_it_and_costs_it_nothing():
    cup = cluster(9, 1)
    assert nodes(cluster(0, 5, [cluster(1, 2), cluster(2, 2)], [cup])) == [0, 9]
    assert nodes(cluster(0, 3, [cluster(1, 2), cluster(2, 2)], [cup])) == [1, 2, 9]
    assert nodes(cluster(0, 0, riders=[cup])) == [9]


def test_a_tree_as_deep_as_a_long_scan():
    root = cluster(0, 1.0)
    for node in range(1, 5000):
        root = cluster(node, 0.5, [root, cluster(-node, 0.001)])
    assert len(nodes(root)) == 5000
