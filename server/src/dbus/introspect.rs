//! What an object says of itself: XML with a text for each part.

use std::fmt::Write as _;

use aulos_protocol::NodeKind;

use super::{
    members::{self, Argument, Member, Object, Signal},
    properties::{self, Property},
    tables,
};

/// In front of every document.
const HEAD: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
                    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

/// What the specification of D-Bus says that objects have.
const STANDARD: &str = r#"  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="id" type="s" direction="out"/>
    </method>
  </interface>
"#;

const PROPERTIES: &str = r#"  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface" type="s" direction="in"/>
      <arg name="property" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface" type="s" direction="in"/>
      <arg name="property" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface" type="s"/>
      <arg name="changed" type="a{sv}"/>
      <arg name="invalidated" type="as"/>
    </signal>
  </interface>
"#;

const OBJECT_MANAGER: &str = r#"  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
"#;

/// Text as an attribute's value.
fn escaped(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => all.push_str("&amp;"),
            '<' => all.push_str("&lt;"),
            '>' => all.push_str("&gt;"),
            '"' => all.push_str("&quot;"),
            '\n' => all.push_str("&#10;"),
            letter => all.push(letter),
        }
    }
    all
}

/// A document; writing to text cannot fail.
struct Xml(String);

impl Xml {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.0, "{:width$}{line}", "", width = 2 * depth);
    }

    fn text(&mut self, depth: usize, text: &str) {
        let text = escaped(text);
        self.line(depth, &format!("<annotation name=\"org.gtk.GDBus.DocString\" value=\"{text}\"/>"));
    }

    fn argument(&mut self, argument: &Argument, direction: &str) {
        let Argument { name, signature, text } = argument;
        self.line(3, &format!("<arg name=\"{name}\" type=\"{signature}\" direction=\"{direction}\">"));
        self.text(4, text);
        self.line(3, "</arg>");
    }

    fn member(&mut self, member: &Member) {
        self.line(2, &format!("<method name=\"{}\">", member.name));
        self.text(3, &member.text);
        member.inputs.iter().for_each(|argument| self.argument(argument, "in"));
        member.outputs.iter().for_each(|argument| self.argument(argument, "out"));
        self.line(2, "</method>");
    }

    fn signal(&mut self, signal: &Signal) {
        self.line(2, &format!("<signal name=\"{}\">", signal.name));
        self.text(3, signal.text);
        for (name, signature, text) in signal.arguments {
            self.line(3, &format!("<arg name=\"{name}\" type=\"{signature}\">"));
            self.text(4, text);
            self.line(3, "</arg>");
        }
        self.line(2, "</signal>");
    }

    fn property(&mut self, property: &Property) {
        let access = if property.is_writable() { "readwrite" } else { "read" };
        let Property { name, signature, text, emits, .. } = property;
        self.line(2, &format!("<property name=\"{name}\" type=\"{signature}\" access=\"{access}\">"));
        self.text(3, text);
        let emits = emits.name();
        self.line(
            3,
            &format!(
                "<annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"{emits}\"/>"
            ),
        );
        self.line(2, "</property>");
    }

    fn interface(
        &mut self,
        (name, text): (&str, &str),
        members: &[Member],
        properties: &[Property],
        signals: &[Signal],
    ) {
        self.line(1, &format!("<interface name=\"{name}\">"));
        self.text(2, text);
        members.iter().for_each(|member| self.member(member));
        properties.iter().for_each(|property| self.property(property));
        signals.iter().for_each(|signal| self.signal(signal));
        self.line(1, "</interface>");
    }

    fn children<'a>(&mut self, children: impl IntoIterator<Item = &'a str>) {
        for child in children {
            self.line(1, &format!("<node name=\"{child}\"/>"));
        }
    }

    fn begin() -> Self {
        Self(format!("{HEAD}<node>\n"))
    }

    fn end(mut self) -> String {
        self.0.push_str("</node>\n");
        self.0
    }
}

/// An object that has nothing but children.
pub fn of_branch(child: &str) -> String {
    let mut xml = Xml::begin();
    xml.0.push_str(STANDARD);
    xml.children([child]);
    xml.end()
}

/// An object that is always there.
pub fn of_object<'a>(object: &Object, children: impl IntoIterator<Item = &'a str>) -> String {
    let mut xml = Xml::begin();
    xml.0.push_str(STANDARD);
    xml.0.push_str(PROPERTIES);
    if object.word == members::MANAGER {
        xml.0.push_str(OBJECT_MANAGER);
    }
    xml.interface((&object.interface, object.text), &object.members, &object.properties, object.signals);
    xml.children(children);
    xml.end()
}

/// The object of a node.
pub fn of_node(kind: NodeKind, channels: u16) -> String {
    let mut xml = Xml::begin();
    xml.0.push_str(STANDARD);
    xml.0.push_str(PROPERTIES);
    xml.interface((properties::NODE_INTERFACE, "What every node has."), &[], tables::of_node(), &[]);
    let (interface, text) = (properties::interface_of(kind), format!("The parameters of a node: {kind}."));
    xml.interface((&interface, &text), &[], &properties::of_kind(kind, channels), &[]);
    xml.end()
}
