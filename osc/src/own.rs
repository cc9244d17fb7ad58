//! What only OSC has: addresses for who knows no other way to ask, to be told, and to tell the time.

use aulos_protocol::{Error, ErrorCode};
use rosc::{OscMessage, OscTime, OscType};

use crate::args::{number, switch, whole_number};

/// An address of OSC's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its name.
    pub address: &'static str,
    /// Its arguments, as a line.
    pub usage: &'static str,
    /// What it does, and what is answered.
    pub text: &'static str,
}

/// All of them.
pub const DOORS: &[Door] = &[
    Door {
        address: "/sys/info",
        usage: "",
        text: "Who the server is: /sys/info s:name s:version s:session i:rate i:block.",
    },
    Door {
        address: "/sys/get",
        usage: "pattern:s",
        text: "The value of every address that the pattern matches, each as a message to that address; then \
               /reply with their number.",
    },
    Door {
        address: "/sys/list",
        usage: "[pattern:s]",
        text: "Every address with a value, or those that the pattern matches: a /reply for each, and one without.",
    },
    Door {
        address: "/sys/req",
        usage: "id:i address:s [argument...]",
        text: "Asks what the address with these arguments asks, and is answered in any case: by /reply or /error \
               with the address /sys/req, and the id behind it.",
    },
    Door {
        address: "/sys/subscribe",
        usage: "pattern:s [lease_s:i] [max_hz:f]",
        text: "Sends the value of every address that the pattern matches, then each change, at most max_hz times a \
               second (60 at most, 30 unless said). It ends after the lease (1 to 3600 s, 30 unless said) unless \
               something comes from the client; by TCP a lease of 0 lasts as long as the connection. /meter/* \
               addresses are for subscriptions only.",
    },
    Door {
        address: "/sys/unsubscribe",
        usage: "[pattern:s]",
        text: "Ends the subscription of this pattern, or all.",
    },
    Door {
        address: "/sys/refresh",
        usage: "[pattern:s]",
        text: "Sends every value of the subscription of this pattern again, or of all.",
    },
    Door {
        address: "/transport/toggle",
        usage: "[pressed:f]",
        text: "Starts the transport, or stops it where it is; a button that is let go does nothing.",
    },
    Door {
        address: "/engine/load",
        usage: "",
        text: "The load of the last second, 1 for all of the time that there is: /engine/load f:load.",
    },
    Door {
        address: "/engine/xruns",
        usage: "",
        text: "How many cycles were late or missed: /engine/xruns h:count.",
    },
    Door { address: "/engine/quantum", usage: "", text: "The frames of a cycle: /engine/quantum i:frames." },
    Door {
        address: "/session/dirty",
        usage: "",
        text: "Whether there are changes that are not saved: /session/dirty i:unsaved.",
    },
    Door {
        address: "/sys/time/ping",
        usage: "[time:t]",
        text: "Answers /sys/time/pong t:time t:now h:frame: what was sent, the server's clock, and the engine's frame \
               at it. Who has no exact clock finds by it how far his is off.",
    },
    Door {
        address: "/sys/time/map",
        usage: "[time:t]",
        text: "How time tags and frames go together: /reply with t:time h:frame d:frames_a_second i:number, or with \
               a time t:time h:frame of just that. The same number means the same line.",
    },
];

/// What is asked by one of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Own {
    /// Something that the status tells.
    Status(Told),
    /// To start or stop.
    Toggle,
    /// A button that was let go.
    Released,
    /// The values of these addresses.
    Get(String),
    /// The addresses that there are, of these.
    List(Option<String>),
    /// To be told of changes.
    Subscribe {
        /// Of these addresses.
        pattern: String,
        /// For how long, in s, unless it is renewed; 0 for as long as the connection.
        lease: u32,
        /// How often at most, in Hz.
        hz: f64,
    },
    /// To be told no more.
    Unsubscribe(Option<String>),
    /// To be told everything again.
    Refresh(Option<String>),
    /// What the clock shows.
    Ping(Option<OscTime>),
    /// How time and frames go together.
    Map(Option<OscTime>),
    /// To be answered with a number.
    Request(i32, OscMessage),
}

/// What the status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Who the server is.
    Info,
    /// How busy the engine is.
    Load,
    /// How many cycles were late.
    Xruns,
    /// The frames of a cycle.
    Quantum,
    /// Whether something is not saved.
    Dirty,
}

/// How long subscriptions last that do not say, in s.
pub const LEASE: u32 = 30;
/// The longest that one can last, in s.
pub const MOST_LEASE: u32 = 3600;
/// How often changes are told to those who do not say, in Hz.
pub const HZ: f64 = 30.0;
/// How often they are told at most, in Hz.
pub const MOST_HZ: f64 = 60.0;

/// Reads a message to an address of OSC's own; none if it is not one.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] for arguments that do not fit, [`ErrorCode::OutOfRange`] for those that are too much.
pub fn read(message: &OscMessage) -> Option<Result<Own, Error>> {
    let door = DOORS.iter().find(|door| door.address == message.addr)?;
    Some(of(door, &message.args))
}

fn of(door: &Door, args: &[OscType]) -> Result<Own, Error> {
    let wrong = |what: &str| {
        Error::new(ErrorCode::InvalidArgument, format!("the argument {what} does not fit, or is missing"))
            .expected(format!("{} {}", door.address, door.usage).trim_end())
    };
    let optional = match args.first() {
        None | Some(OscType::Nil) => Ok(None),
        Some(OscType::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong("pattern")),
    };
    let time = match args.first() {
        None | Some(OscType::Nil) => Ok(None),
        Some(OscType::Time(time)) => Ok(Some(*time)),
        Some(_) => Err(wrong("time")),
    };
    Ok(match door.address {
        "/sys/info" => Own::Status(Told::Info),
        "/engine/load" => Own::Status(Told::Load),
        "/engine/xruns" => Own::Status(Told::Xruns),
        "/engine/quantum" => Own::Status(Told::Quantum),
        "/session/dirty" => Own::Status(Told::Dirty),
        "/transport/toggle" if args.first().and_then(switch) == Some(false) => Own::Released,
        "/transport/toggle" => Own::Toggle,
        "/sys/get" => Own::Get(optional?.ok_or_else(|| wrong("pattern"))?),
        "/sys/list" => Own::List(optional?),
        "/sys/unsubscribe" => Own::Unsubscribe(optional?),
        "/sys/refresh" => Own::Refresh(optional?),
        "/sys/time/ping" => Own::Ping(time?),
        "/sys/time/map" => Own::Map(time?),
        "/sys/subscribe" => {
            let pattern = optional?.ok_or_else(|| wrong("pattern"))?;
            let lease = match args.get(1) {
                None | Some(OscType::Nil) => LEASE,
                Some(arg) => {
                    let lease = whole_number(arg).and_then(|lease| u32::try_from(lease).ok());
                    lease.filter(|lease| *lease <= MOST_LEASE).ok_or_else(|| wrong("lease_s"))?
                }
            };
            let hz = match args.get(2) {
                None | Some(OscType::Nil) => HZ,
                Some(arg) => number(arg).filter(|hz| *hz > 0.0).ok_or_else(|| wrong("max_hz"))?,
            };
            Own::Subscribe { pattern, lease, hz: hz.clamp(0.1, MOST_HZ) }
        }
        "/sys/req" => match args {
            [OscType::Int(id), OscType::String(address), args @ ..] if address.starts_with('/') => {
                Own::Request(*id, OscMessage { addr: address.clone(), args: args.to_vec() })
            }
            [OscType::Int(_), ..] => return Err(wrong("address")),
            _ => return Err(wrong("id")),
        },
        other => return Err(Error::new(ErrorCode::Internal, format!("nothing is done by {other}"))),
    })
}
