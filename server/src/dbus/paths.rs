//! The paths of the objects.

use zbus::zvariant::{ObjectPath, Value};

use super::members::ROOT;

/// Where the objects of the nodes are.
const NODES: &str = "/org/aulos/Server/node/";

/// The path of the node of this name. A path has only letters, digits and `_`: what else a name has, and `_` itself,
/// is written as `_` with two digits, so `lead-vox` is `lead_2dvox`.
pub fn of_node(slug: &str) -> String {
    format!("{NODES}{}", element(slug))
}

/// A path as a value.
///
/// # Errors
/// If it is none, which would be a defect.
pub fn value(path: String) -> zbus::Result<Value<'static>> {
    Ok(Value::ObjectPath(ObjectPath::try_from(path)?))
}

/// A name as an element of a path.
pub fn element(slug: &str) -> String {
    use std::fmt::Write as _;
    let mut element = String::with_capacity(slug.len());
    for byte in slug.bytes() {
        if byte.is_ascii_alphanumeric() {
            element.push(char::from(byte));
        } else {
            // Writing to text cannot fail.
            let _ = write!(element, "_{byte:02x}");
        }
    }
    element
}

/// The name of the node at this path, if it is that of a node.
pub fn slug(path: &str) -> Option<String> {
    let element = path.strip_prefix(NODES)?;
    let mut slug = String::new();
    let mut rest = element;
    while let Some(first) = rest.chars().next() {
        if first == '_' {
            slug.push(char::from(u8::from_str_radix(rest.get(1..3)?, 16).ok()?));
            rest = &rest[3..];
        } else {
            slug.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    // Every node has one path.
    (self::element(&slug) == element).then_some(slug)
}

/// The element that leads from `path` towards the root object, if it lies above that.
pub fn towards_root(path: &str) -> Option<&'static str> {
    let rest = if path == "/" { ROOT.strip_prefix('/') } else { ROOT.strip_prefix(path)?.strip_prefix('/') };
    rest?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_path_and_a_path_one_name() {
        for slug in ["drums", "lead-vox", "a_b", "2nd", "a_2db", "x-_-"] {
            let path = of_node(slug);
            assert_eq!(super::slug(&path).as_deref(), Some(slug), "{path}");
            assert!(zbus::zvariant::ObjectPath::try_from(path).is_ok());
        }
        for path in ["lead_2Dvox", "a_", "a_5", "a_zz", "lead_64rums", "_61", "ö", "_é0"] {
            assert_eq!(slug(&format!("{NODES}{path}")), None, "{path}");
        }
        assert_eq!(slug("/org/aulos/Server/nodes/drums"), None);
    }

    #[test]
    fn the_way_to_the_root_begins_anywhere_above() {
        assert_eq!(towards_root("/"), Some("org"));
        assert_eq!(towards_root("/org"), Some("aulos"));
        assert_eq!(towards_root("/org/aulos"), Some("Server"));
        for path in ["/org/aulos/Server", "/or", "/org/aulos/Server/graph", "/com"] {
            assert_eq!(towards_root(path), None, "{path}");
        }
    }
}
