//! The reference of all addresses, as `docs/osc.md` has it: made from the tables that the server reads, so that it says
//! what holds.

use std::fmt::Write as _;

use aulos_protocol::{Node, NodeId, NodeKind, Range, Rate, Session, Slug, State, TransportState, registry};

use crate::{
    args,
    own::DOORS,
    space::{self, Target, Whole},
};

/// The addresses and what they take and do, as Markdown.
pub fn reference() -> String {
    let mut out = String::from("### Commands\n\n");
    table(&mut out, &["message", "what it does"]);
    for method in registry::methods().iter().filter(|method| method.is_command && method.address.is_some()) {
        row(&mut out, &[&code(&args::usage(method)), &first(&method.text)]);
    }
    out.push_str("\n### Questions\n\n");
    table(&mut out, &["message", "what is answered"]);
    for method in registry::methods().iter().filter(|method| !method.is_command && method.address.is_some()) {
        row(&mut out, &[&code(&args::usage(method)), &first(&method.text)]);
    }
    out.push_str("\n### What only OSC has\n\n");
    table(&mut out, &["message", "what it does"]);
    for door in DOORS {
        row(&mut out, &[&code(format!("{} {}", door.address, door.usage).trim_end()), door.text]);
    }
    out.push_str("\n### Values of the transport and the session\n\n");
    values(&mut out, &state(None), Whole::ALL.into_iter().map(Target::Whole));
    for kind in NodeKind::ALL {
        let state = state(Some(kind));
        let _ = write!(out, "\n### Values of a {kind}\n\n");
        let nodes = state.session.nodes.in_order();
        values(&mut out, &state, nodes.into_iter().flat_map(space::of_node));
    }
    out
}

/// A session with one stereo node of a kind, if there is one, named NAME.
fn state(kind: Option<NodeKind>) -> State {
    let mut session = Session::new("", Rate::default());
    if let (Some(kind), Some(slug)) = (kind, Slug::new("name")) {
        session.nodes.insert(Node::new(NodeId(1), slug, kind, 2).into());
    }
    State { revision: 0, session, path: None, transport: TransportState::default() }
}

fn values(out: &mut String, state: &State, targets: impl Iterator<Item = Target>) {
    table(out, &["address", "type", "range", "what it is"]);
    for target in targets {
        let tags: String = target.value(state).iter().map(args::type_tag).collect();
        let access = if target.is_writable() { "" } else { " Read only." };
        let address = target.to_string().replace("/name/", "/NAME/");
        let text = format!("{}{access}", first(target.text()));
        row(out, &[&code(&address), &code(&tags), &range(&target), &text]);
    }
}

fn range(target: &Target) -> String {
    let choices = target.choices();
    if !choices.is_empty() {
        return choices.join(", ");
    }
    target.range().map_or_else(String::new, |Range { min, max, unit }| {
        format!("{min} to {max} {unit}").trim_end().to_owned()
    })
}

/// The first paragraph.
fn first(text: &str) -> String {
    text.split("\n\n").next().unwrap_or_default().to_owned()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn table(out: &mut String, heads: &[&str]) {
    row(out, heads);
    row(out, &vec!["---"; heads.len()]);
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To bring the page up to date, run the test with AULOS_WRITE=1.
    #[test]
    fn the_page_says_what_holds() {
        const HEAD: &str = "## All addresses\n\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/osc.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (text, written) = page.split_once(HEAD).unwrap();
        if std::env::var_os("AULOS_WRITE").is_some() {
            std::fs::write(path, format!("{text}{HEAD}{}", reference())).unwrap();
            return;
        }
        assert!(written == reference(), "docs/osc.md is not up to date");
    }

    #[test]
    fn every_method_is_told() {
        let text = reference();
        for address in registry::methods().iter().filter_map(|method| method.address) {
            assert!(text.contains(&format!("`{address}")), "{address}");
        }
        assert!(DOORS.iter().all(|door| text.contains(&format!("`{}", door.address))));
        assert!(text.contains("| `/track/NAME/fader` | `f` | 0 to 1 |"));
    }
}
