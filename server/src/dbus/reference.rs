//! The page of docs that lists all members, made from what is served.

use std::fmt::Write as _;

use aulos_protocol::NodeKind;

use super::{
    members::{self, Act, Member, Object},
    properties::{self, Property},
    tables,
};

const INTRODUCTION: &str = include_str!("reference.md");

/// `docs/dbus.md`: what there is on the bus.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Objects that are always there\n");
    members::objects().iter().for_each(|object| of_object(&mut page, object));
    page.push_str(
        "\n## Nodes\n\nEach node is an object at `/org/aulos/Server/node/NAME`, where what is no letter or digit is \
         written as `_` with two digits: `lead-vox` is `lead_2dvox`.\n\n### org.aulos.Node1\n\n",
    );
    of_properties(&mut page, tables::of_node());
    page.push_str(
        "\nBeside it, it has an interface of its kind, whose properties are its parameters. Some are there for some \
         widths only; `pan` has no meaning for more than two channels.\n",
    );
    for kind in NodeKind::ALL {
        let _ = write!(page, "\n### {}\n\n", properties::interface_of(kind));
        let mut all = properties::of_kind(kind, 1);
        for wider in [2, 6] {
            for property in properties::of_kind(kind, wider) {
                if !all.iter().any(|known| known.name == property.name) {
                    all.push(property);
                }
            }
        }
        of_properties(&mut page, &all);
    }
    page
}

// Writing to text cannot fail, here and below.
fn of_object(page: &mut String, object: &Object) {
    let _ = write!(page, "\n### {}\n\n{} At `{}`.\n", object.interface, object.text, object.path);
    for member in &object.members {
        of_member(page, member);
    }
    for signal in object.signals {
        let arguments = signal.arguments.iter().map(|(name, kind, _)| format!("{name} {kind}"));
        let arguments = arguments.collect::<Vec<_>>().join(", ");
        let _ = write!(page, "\n**Signal {}**({arguments})\n\n{}\n\n", signal.name, signal.text);
        for (name, _, text) in signal.arguments {
            let _ = writeln!(page, "- `{name}`: {text}");
        }
    }
    if !object.properties.is_empty() {
        page.push('\n');
        of_properties(page, &object.properties);
    }
}

fn of_member(page: &mut String, member: &Member) {
    let list = |arguments: &[members::Argument]| {
        let all = arguments.iter().map(|argument| format!("{} {}", argument.name, argument.signature));
        all.collect::<Vec<_>>().join(", ")
    };
    let (inputs, outputs) = (list(&member.inputs), list(&member.outputs));
    let method = match member.act {
        Act::Method(method) => format!(" (`{}` on the socket)", method.name),
        Act::GetGraph | Act::OpenMeters => String::new(),
    };
    let _ = write!(page, "\n**{}**({inputs}) → ({outputs}){method}\n\n{}\n", member.name, member.text);
    let arguments: Vec<_> = member.inputs.iter().chain(&member.outputs).collect();
    if !arguments.is_empty() {
        page.push('\n');
    }
    for argument in arguments {
        // What all commands take is said above.
        let is_own = |line: &&str| !members::COMMAND_OPTIONS.iter().any(|(_, _, text)| line.ends_with(text));
        let lines: Vec<_> = argument.text.lines().filter(is_own).collect();
        match lines.as_slice() {
            [] => {
                let _ = writeln!(page, "- `{}`: those of every command", argument.name);
            }
            [only] if argument.name != "options" => {
                let _ = writeln!(page, "- `{}`: {only}", argument.name);
            }
            lines => {
                let _ = writeln!(page, "- `{}`:", argument.name);
                lines.iter().for_each(|line| {
                    let _ = writeln!(page, "  - {line}");
                });
            }
        }
    }
}

fn of_properties(page: &mut String, all: &[Property]) {
    page.push_str("| property | type | | changes are told | |\n|---|---|---|---|---|\n");
    for property in all {
        let access = if property.is_writable() { "read, write" } else { "read" };
        let Property { name, signature, emits, text, .. } = property;
        let text = text.replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(page, "| {name} | `{signature}` | {access} | {} | {text} |", emits.name());
    }
}
