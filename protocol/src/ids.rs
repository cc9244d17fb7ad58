//! Names and numbers by which things are addressed.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

numeric_id! {
    /// The number of a node; never used again within a session.
    NodeId
}
numeric_id! {
    /// The number of a link; never used again within a session.
    LinkId
}
numeric_id! {
    /// The number of a clip; never used again within a session.
    ClipId
}

/// The name of a node for people and surfaces: 1 to 48 characters of `a-z`, `0-9`, `_` and `-`, beginning
/// with a letter or a digit. Unique among the nodes of a session; free again when its node is gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Slug(String);

impl Slug {
    /// The longest slug, in characters.
    pub const MAX_LEN: usize = 48;

    /// What a slug must look like, for error messages.
    pub const EXPECTED: &str = "1 to 48 characters of a-z, 0-9, _ and -, beginning with a letter or a digit";

    /// A slug with exactly this text, if it is one.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all_valid =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        (starts_well && all_valid && text.len() <= Self::MAX_LEN).then_some(Self(text))
    }

    /// The text of the slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::new(text).ok_or_else(|| de::Error::custom(format!("a name is {}", Self::EXPECTED)))
    }
}

/// One end of a link as people write it: `drums`, `drums:out` (a group of ports) or `drums:out_L` (a port).
///
/// A bare node means its group `out` where a source is wanted and `in` where a destination is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Endpoint {
    /// The node's slug.
    pub node: String,
    /// A group of ports or one port of it.
    pub port: Option<String>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Some(port) => write!(f, "{}:{port}", self.node),
            None => f.write_str(&self.node),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, port) = match text.split_once(':') {
            Some((node, port)) => (node, Some(port)),
            None => (text, None),
        };
        if node.is_empty() || port.is_some_and(|p| p.is_empty() || p.contains(':')) {
            return Err(format!("{text:?} is no end of a link: write NODE, NODE:GROUP or NODE:PORT"));
        }
        Ok(Self { node: node.to_owned(), port: port.map(str::to_owned) })
    }
}

impl Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_are_read_as_people_write_them() {
        let end: Endpoint = "drums:out_L".parse().unwrap();
        assert_eq!((end.node.as_str(), end.port.as_deref()), ("drums", Some("out_L")));
        assert_eq!("drums".parse::<Endpoint>().unwrap().port, None);
        for wrong in ["", ":out", "drums:", "a:b:c"] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_slug_or_refused(text in ".{0,60}") {
            if let Some(slug) = Slug::new(text.clone()) {
                let json = serde_json::to_string(&slug).unwrap();
                prop_assert_eq!(serde_json::from_str::<Slug>(&json).unwrap(), slug);
            }
        }

        #[test]
        fn any_endpoint_survives_its_text(text in "[a-z:_L0-9]{0,12}") {
            if let Ok(end) = text.parse::<Endpoint>() {
                prop_assert_eq!(end.to_string(), text);
            }
        }
    }
}
