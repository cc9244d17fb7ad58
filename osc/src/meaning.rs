//! What a message means in a session.

use aulos_protocol::{Command, Error, ErrorCode, State, registry, wire::Ask};
use rosc::{OscMessage, OscType};

use crate::{
    args::{self, switch},
    own::{self, Own},
    space::{self, Target},
};

/// What a message means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// Nothing: a button was released.
    Nothing,
    /// A command or query.
    Ask(Ask),
    /// To set these.
    Set(Vec<(Target, Command)>),
    /// To tell these.
    Get(Vec<Target>),
    /// What only OSC has.
    Own(Own),
}

impl Meaning {
    /// The command that it is, if it changes something. Several settings are one.
    pub fn command(self) -> Option<Command> {
        match self {
            Self::Ask(Ask::Command(command)) => Some(command),
            Self::Set(mut settings) if settings.len() == 1 => settings.pop().map(|(_, command)| command),
            Self::Set(settings) => {
                Some(Command::Batch { commands: settings.into_iter().map(|(_, command)| command).collect() })
            }
            _ => None,
        }
    }
}

/// What a message means in this state. A value's address without arguments asks for it; a command without arguments that
/// is sent the 0 of a released button means nothing.
///
/// # Errors
/// [`ErrorCode::NotFound`] with close addresses, [`ErrorCode::InvalidArgument`] for arguments that do not fit.
pub fn meaning(state: &State, message: &OscMessage) -> Result<Meaning, Error> {
    if let Some(own) = own::read(message) {
        return own.map(Meaning::Own);
    }
    let args = &message.args;
    if let Some(method) = registry::methods().iter().find(|method| method.address == Some(&message.addr)) {
        let released = method.is_command && method.fields.is_empty();
        if released && args.first().and_then(switch) == Some(false) {
            return Ok(Meaning::Nothing);
        }
        return args::ask(method, args).map(Meaning::Ask);
    }
    if message.addr.starts_with("/meter/") {
        return Err(Error::new(ErrorCode::Unavailable, "meters are told to subscribers only")
            .remedy(format!("send /sys/subscribe \"{}\"", message.addr)));
    }
    let targets = space::matching(state, &message.addr)?;
    if args.is_empty() {
        return Ok(Meaning::Get(targets));
    }
    // Of a pattern, what can only be read is left as it is.
    let many = targets.len() > 1;
    let writable = targets.into_iter().filter(|target| !many || target.is_writable());
    let set = |target: Target| target.set(args).map(|command| (target, command));
    writable.map(set).collect::<Result<_, _>>().map(Meaning::Set)
}

/// Whether what was asked for is what there is now, as far as it can be told by the value of an address.
pub fn is_same(asked: &[OscType], now: &[OscType]) -> bool {
    let same = |(asked, now): (&OscType, &OscType)| match (asked, now) {
        (OscType::String(asked), OscType::String(now)) => asked == now,
        (asked, now) => match (args::number(asked), args::number(now)) {
            (Some(asked), Some(now)) => (asked - now).abs() <= 1e-4 * now.abs().max(1.0),
            _ => false,
        },
    };
    !now.is_empty() && asked.len() >= now.len() && asked.iter().zip(now).all(same)
}

#[cfg(test)]
mod tests {
    use aulos_protocol::{NodeId, NodeKind, Rate, Session, TransportState, Value};

    use super::*;

    fn state() -> State {
        let mut session = Session::new("x", Rate::default());
        for (id, name) in [(1, "drums"), (2, "bass")] {
            let slug = aulos_protocol::Slug::new(name).unwrap();
            let node = aulos_protocol::Node::new(NodeId(id), slug, NodeKind::Track, 2);
            session.nodes.insert(node.into());
        }
        State { revision: 1, session, path: None, transport: TransportState::default() }
    }

    fn read(address: &str, args: &[OscType]) -> Result<Meaning, Error> {
        meaning(&state(), &OscMessage { addr: address.into(), args: args.to_vec() })
    }

    #[test]
    fn a_message_is_a_command_a_question_a_setting_or_a_reading() {
        use OscType::{Float, Int};
        let gain = |node: &str, db: f64| Command::SetParam {
            node: node.into(),
            param: "gain".into(),
            value: Value::Number(db),
        };
        let command = |address: &str, args: &[OscType]| read(address, args).unwrap().command();
        assert_eq!(command("/transport/play", &[]), Some(Command::Play));
        assert_eq!(command("/transport/play", &[Float(1.0)]), Some(Command::Play));
        assert_eq!(read("/transport/play", &[Float(0.0)]), Ok(Meaning::Nothing));
        assert_eq!(read("/sys/undo", &[OscType::Bool(false)]), Ok(Meaning::Nothing));
        assert_eq!(command("/track/drums/gain", &[Int(-6)]), Some(gain("drums", -6.0)));
        assert_eq!(command("/track/2/gain", &[Int(-6)]), Some(gain("bass", -6.0)));
        let both = Command::Batch { commands: vec![gain("drums", -3.0), gain("bass", -3.0)] };
        assert_eq!(command("/track/*/gain", &[Float(-3.0)]), Some(both));
        assert!(matches!(read("/track/*/gain", &[]), Ok(Meaning::Get(targets)) if targets.len() == 2));
        assert_eq!(read("/sys/info", &[]), Ok(Meaning::Own(Own::Status(own::Told::Info))));
        assert_eq!(read("/transport/toggle", &[Float(0.0)]), Ok(Meaning::Own(Own::Released)));
        assert_eq!(read("/transport/toggle", &[]), Ok(Meaning::Own(Own::Toggle)));
        for (address, args, code) in [
            ("/track/drms/gain", vec![], ErrorCode::NotFound),
            ("/meter/track/drums", vec![], ErrorCode::Unavailable),
            ("/engine/rate", vec![Int(1)], ErrorCode::InvalidArgument),
            ("/sys/get", vec![], ErrorCode::InvalidArgument),
            ("/sys/req", vec![Int(1)], ErrorCode::InvalidArgument),
        ] {
            assert_eq!(read(address, &args).unwrap_err().code, code, "{address}");
        }
    }

    #[test]
    fn every_door_of_oscs_own_is_read_and_is_no_other() {
        for door in own::DOORS {
            let args = [OscType::Int(1), OscType::String("/a".into())];
            let args = if door.address == "/sys/req" { &args[..] } else { &args[1..] };
            let args = if door.usage.contains(":t") || door.usage.is_empty() { &[] } else { args };
            assert!(matches!(read(door.address, args), Ok(Meaning::Own(_))), "{door:?}");
            assert!(registry::methods().iter().all(|method| method.address != Some(door.address)));
        }
    }

    #[test]
    fn what_was_asked_for_is_known_again() {
        use OscType::{Float, Int, String};
        let text = |text: &str| String(text.into());
        assert!(is_same(&[Float(-6.0), Int(9)], &[Float(-6.000_01)]));
        assert!(is_same(&[OscType::Bool(true)], &[Int(1)]));
        assert!(is_same(&[text("4/4")], &[text("4/4")]));
        assert!(!is_same(&[Float(20.0)], &[Float(12.0)]));
        assert!(!is_same(&[Float(f32::NAN)], &[Float(12.0)]) && !is_same(&[], &[Int(1)]));
    }
}
