//! The nodes and links of a session, by number and by what else they are looked for.

use std::{fmt, ops::Deref, sync::Arc};

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Link, LinkId, Node, NodeId, NodeKind, Slug};

/// The nodes of a session by number. Reads like the map that it dereferences to; what is written goes through
/// [`Nodes::insert`] and [`Nodes::remove`], which keep an index of the names.
#[derive(Clone, Default)]
pub struct Nodes {
    map: OrdMap<NodeId, Arc<Node>>,
    /// With the number, as a file that is not checked yet can give two nodes the same name.
    by_name: OrdSet<(Slug, NodeId)>,
    /// How many there are of each kind.
    of_kind: [usize; NodeKind::ALL.len()],
    /// (member, whose member it is)
    controlled: OrdSet<(NodeId, NodeId)>,
}

impl Nodes {
    /// Adds a node, or puts it in the place of the one with its number, which is returned.
    pub fn insert(&mut self, node: Arc<Node>) -> Option<Arc<Node>> {
        let new = node.clone();
        let old = self.map.insert(node.id, node);
        if old.as_ref().is_none_or(|old| old.slug != new.slug) {
            old.iter().for_each(|old| self.forget_name(old));
            self.by_name.insert((new.slug.clone(), new.id));
        }
        old.iter().for_each(|old| self.of_kind[old.kind as usize] -= 1);
        self.of_kind[new.kind as usize] += 1;
        if old.as_ref().is_none_or(|old| old.members != new.members) {
            old.iter().for_each(|old| self.forget_members(old));
            self.controlled.extend(new.members.iter().map(|member| (*member, new.id)));
        }
        old
    }

    /// Removes a node and returns it.
    pub fn remove(&mut self, id: NodeId) -> Option<Arc<Node>> {
        let old = self.map.remove(&id)?;
        self.forget_name(&old);
        self.forget_members(&old);
        self.of_kind[old.kind as usize] -= 1;
        Some(old)
    }

    fn forget_members(&mut self, node: &Node) {
        for member in &node.members {
            self.controlled.remove(&(*member, node.id));
        }
    }

    /// The nodes whose member a node is, in the order of their numbers.
    pub fn controlling(&self, member: NodeId) -> impl Iterator<Item = &Arc<Node>> {
        let all = self.controlled.range((member, FIRST_NODE)..=(member, LAST_NODE));
        all.filter_map(|(_, group)| self.map.get(group))
    }

    fn forget_name(&mut self, node: &Node) {
        self.by_name.remove(&(node.slug.clone(), node.id));
    }

    /// The node with a name; the one with the smallest number if there are several, which only a file that is
    /// not checked yet can have.
    pub fn named(&self, slug: &str) -> Option<&Arc<Node>> {
        let slug = Slug::new(slug)?;
        let (found, id) = self.by_name.range((slug.clone(), NodeId(0))..).next()?;
        if *found == slug { self.map.get(id) } else { None }
    }

    /// The nodes as they are listed: by [`Node::place`], then by number. Sums are made by number, whatever the
    /// list says.
    pub fn in_order(&self) -> Vec<&Arc<Node>> {
        let mut nodes: Vec<_> = self.map.values().collect();
        nodes.sort_by(|a, b| a.place().total_cmp(&b.place()));
        nodes
    }

    /// How many nodes of a kind there are.
    pub fn of_kind(&self, kind: NodeKind) -> usize {
        self.of_kind[kind as usize]
    }
}

/// The links of a session by number. Reads like the map that it dereferences to; what is written goes through
/// [`Links::insert`] and [`Links::remove`], which keep an index of the nodes at the ends.
#[derive(Clone, Default)]
pub struct Links {
    map: OrdMap<LinkId, Arc<Link>>,
    /// (from, to, link)
    by_source: OrdSet<(NodeId, NodeId, LinkId)>,
    /// (to, from, link)
    by_destination: OrdSet<(NodeId, NodeId, LinkId)>,
}

const FIRST_NODE: NodeId = NodeId(0);
const LAST_NODE: NodeId = NodeId(u64::MAX);
const FIRST_LINK: LinkId = LinkId(0);
const LAST_LINK: LinkId = LinkId(u64::MAX);

impl Links {
    /// Adds a link, or puts it in the place of the one with its number, which is returned.
    pub fn insert(&mut self, link: Arc<Link>) -> Option<Arc<Link>> {
        let (id, from, to) = (link.id, link.from.node, link.to.node);
        let old = self.map.insert(id, link);
        if old.as_ref().is_none_or(|old| (old.from.node, old.to.node) != (from, to)) {
            old.iter().for_each(|old| self.forget_ends(old));
            self.by_source.insert((from, to, id));
            self.by_destination.insert((to, from, id));
        }
        old
    }

    /// Removes a link and returns it.
    pub fn remove(&mut self, id: LinkId) -> Option<Arc<Link>> {
        let old = self.map.remove(&id)?;
        self.forget_ends(&old);
        Some(old)
    }

    fn forget_ends(&mut self, link: &Link) {
        let (id, from, to) = (link.id, link.from.node, link.to.node);
        self.by_source.remove(&(from, to, id));
        self.by_destination.remove(&(to, from, id));
    }

    /// The links from any port of one node to any port of another, in the order of their numbers.
    pub fn between(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = &Arc<Link>> {
        self.listed(self.by_source.range((from, to, FIRST_LINK)..=(from, to, LAST_LINK)))
    }

    /// The links that leave a node, in the order of the nodes that they go to.
    pub fn leaving(&self, node: NodeId) -> impl Iterator<Item = &Arc<Link>> {
        self.listed(self.by_source.range((node, FIRST_NODE, FIRST_LINK)..=(node, LAST_NODE, LAST_LINK)))
    }

    /// The links that enter a node, in the order of the nodes that they come from.
    pub fn entering(&self, node: NodeId) -> impl Iterator<Item = &Arc<Link>> {
        self.listed(self.by_destination.range((node, FIRST_NODE, FIRST_LINK)..=(node, LAST_NODE, LAST_LINK)))
    }

    fn listed<'a>(
        &'a self,
        found: impl Iterator<Item = &'a (NodeId, NodeId, LinkId)>,
    ) -> impl Iterator<Item = &'a Arc<Link>> {
        found.filter_map(|(_, _, id)| self.map.get(id))
    }
}

/// What both have in common: they read, compare and are written as the map alone. Maps keyed by number are
/// written as lists, as the number is in the element already.
macro_rules! reads_like_a_map {
    ($name:ident, $id:ident, $item:ident) => {
        impl Deref for $name {
            type Target = OrdMap<$id, Arc<$item>>;

            fn deref(&self) -> &Self::Target {
                &self.map
            }
        }

        impl<'a> IntoIterator for &'a $name {
            type Item = (&'a $id, &'a Arc<$item>);
            type IntoIter = <&'a OrdMap<$id, Arc<$item>> as IntoIterator>::IntoIter;

            fn into_iter(self) -> Self::IntoIter {
                (&self.map).into_iter()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.map == other.map
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.map.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.map.values())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut map = Self::default();
                for item in Vec::<$item>::deserialize(deserializer)? {
                    if let Some(old) = map.insert(Arc::new(item)) {
                        return Err(de::Error::custom(format!("the number {} is used twice", old.id)));
                    }
                }
                Ok(map)
            }
        }
    };
}

reads_like_a_map!(Nodes, NodeId, Node);
reads_like_a_map!(Links, LinkId, Link);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PortRef;

    fn node(id: u64, slug: &str, kind: NodeKind) -> Arc<Node> {
        Arc::new(Node::new(NodeId(id), Slug::new(slug).unwrap(), kind, 1))
    }

    fn link(id: u64, from: u64, to: u64) -> Arc<Link> {
        let port = |node| PortRef { node: NodeId(node), port: "out_1".into() };
        let (gain, unknown) = Default::default();
        Arc::new(Link { id: LinkId(id), from: port(from), to: port(to), gain, unknown })
    }

    #[test]
    fn of_two_nodes_with_one_name_either_can_go() {
        for (first, second) in [(1, 2), (2, 1)] {
            let mut nodes = Nodes::default();
            nodes.insert(node(1, "same", NodeKind::Bus));
            nodes.insert(node(2, "same", NodeKind::Tone));
            assert_eq!(nodes.named("same").map(|node| node.id), Some(NodeId(1)));
            nodes.remove(NodeId(first));
            assert_eq!(nodes.named("same").map(|node| node.id), Some(NodeId(second)));
            nodes.remove(NodeId(second));
            assert_eq!(nodes.named("same"), None);
        }
    }

    #[test]
    fn they_are_lists_in_json_and_no_number_is_used_twice() {
        let mut links = Links::default();
        links.insert(link(2, 1, 3));
        links.insert(link(1, 1, 2));
        let json = serde_json::to_value(&links).unwrap();
        assert_eq!(json, serde_json::json!([&*links[&LinkId(1)], &*links[&LinkId(2)]]));
        assert_eq!(serde_json::from_value::<Links>(json.clone()).unwrap(), links);
        let twice = serde_json::json!([json[0], json[0]]);
        let error = serde_json::from_value::<Links>(twice).unwrap_err();
        assert!(error.to_string().contains("the number 1 is used twice"), "{error}");
    }

    proptest! {
        #[test]
        fn the_index_of_names_says_what_a_search_would(
            steps in prop::collection::vec((0..8u64, 0..5usize, 0..3usize), 0..60),
        ) {
            let names = ["a", "b", "a-2", "aa"];
            let mut nodes = Nodes::default();
            for (id, name, kind) in steps {
                match names.get(name) {
                    Some(name) => nodes.insert(node(id, name, NodeKind::ALL[kind])),
                    None => nodes.remove(NodeId(id)),
                };
                for name in names {
                    let found = nodes.values().find(|node| node.slug.as_str() == name);
                    prop_assert_eq!(nodes.named(name), found);
                }
                for kind in NodeKind::ALL {
                    let count = nodes.values().filter(|node| node.kind == kind).count();
                    prop_assert_eq!(nodes.of_kind(kind), count);
                }
            }
        }

        #[test]
        fn the_index_of_ends_says_what_a_search_would(
            steps in prop::collection::vec((0..8u64, 0..4u64, 0..5u64), 0..60),
        ) {
            let mut links = Links::default();
            for (id, from, to) in steps {
                match to {
                    4 => links.remove(LinkId(id)),
                    to => links.insert(link(id, from, to)),
                };
                let all: Vec<_> = links.values().collect();
                let is = |id, end: &PortRef| end.node == NodeId(id);
                for one in 0..4 {
                    let sorted = |mut found: Vec<_>| { found.sort_by_key(|link: &&Arc<Link>| link.id); found };
                    let out: Vec<_> = all.iter().copied().filter(|link| is(one, &link.from)).collect();
                    prop_assert_eq!(sorted(links.leaving(NodeId(one)).collect()), out);
                    let into: Vec<_> = all.iter().copied().filter(|link| is(one, &link.to)).collect();
                    prop_assert_eq!(sorted(links.entering(NodeId(one)).collect()), into);
                    for two in 0..4 {
                        let both = |link: &&Arc<Link>| is(one, &link.from) && is(two, &link.to);
                        let between: Vec<_> = all.iter().copied().filter(both).collect();
                        let found: Vec<_> = links.between(NodeId(one), NodeId(two)).collect();
                        prop_assert_eq!(found, between);
                    }
                }
            }
        }
    }
}
