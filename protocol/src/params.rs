//! The parameters that each kind of node has: one table, from which every surface takes names, units and
//! ranges.

mod effects;

use crate::{Error, ErrorCode, Node, NodeKind, Range, Value};

/// The unit of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A gain in dB; silence is allowed.
    Decibels,
    /// A level or a difference of levels in dB, which cannot be silence.
    Level,
    /// A position between hard left (−1) and hard right (+1).
    Pan,
    /// On or off.
    Switch,
    /// A frequency.
    Hertz,
    /// A whole number of frames.
    Frames,
    /// A whole number.
    Count,
    /// A length of time in ms.
    Milliseconds,
    /// So many to one.
    Ratio,
    /// A number without a unit, such as the Q of a filter.
    Factor,
    /// One of these names; its number is the place in the list.
    Choice(&'static [&'static str]),
    /// An accent pattern of the click, or `auto`.
    Pattern,
}

impl Unit {
    /// The unit's short name, empty where numbers have none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decibels | Self::Level => "dB",
            Self::Hertz => "Hz",
            Self::Frames => "frames",
            Self::Milliseconds => "ms",
            Self::Ratio => ":1",
            Self::Pan | Self::Switch | Self::Count | Self::Factor | Self::Choice(_) | Self::Pattern => "",
        }
    }
}

/// What a change of a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The running processor moves a value; of a `vca` or `group`, those of its members do.
    Moves,
    /// Links open or close; nothing is built.
    Gates,
    /// Delays of links change: another plan, with the same processors.
    Routes,
    /// Another processor takes over, with a crossfade.
    Rebuilds,
    /// Nothing is heard of it.
    Unheard,
}

/// What there is to know about a parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name within the node.
    pub name: &'static str,
    /// The unit of its numbers.
    pub unit: Unit,
    /// The lowest value; a gain may also be silence.
    pub min: f64,
    /// The highest value.
    pub max: f64,
    /// The value of a new node.
    pub default: Value,
    /// What a change of it takes.
    pub effect: Effect,
    /// What it does, as a sentence.
    pub text: &'static str,
}

/// Longest delay of a `delay` or `feedback` node, in frames (10 s at 192 kHz).
pub const MAX_DELAY_FRAMES: u64 = 1_920_000;

macro_rules! param {
    ($name:literal, choice $names:expr, $default:literal, $effect:ident, $text:literal) => {
        Param {
            name: $name,
            unit: Unit::Choice($names),
            min: 0.0,
            max: $names.len() as f64 - 1.0,
            default: Value::name($default),
            effect: Effect::$effect,
            text: $text,
        }
    };
    ($name:literal, $unit:ident, $min:expr, $max:expr, $default:expr, $effect:ident, $text:literal) => {
        Param {
            name: $name,
            unit: Unit::$unit,
            min: $min,
            max: $max,
            default: $default,
            effect: Effect::$effect,
            text: $text,
        }
    };
}

const GAIN: Param =
    param!("gain", Decibels, -144.0, 12.0, Value::Number(0.0), Moves, "Level of the strip's output.");
const PAN: Param = param!(
    "pan",
    Pan,
    -1.0,
    1.0,
    Value::Number(0.0),
    Moves,
    "Position: a mono strip is panned by its pan_law, a stereo strip balanced."
);
const PAN_LAW: Param = param!(
    "pan_law",
    choice & ["-3dB", "-4.5dB", "-6dB"],
    "-3dB",
    Moves,
    "How loud both sides are in the middle: -3dB for constant power, -6dB for a constant sum."
);
const TRIM: Param = param!(
    "trim",
    Decibels,
    -24.0,
    24.0,
    Value::Number(0.0),
    Moves,
    "Level in front of everything else in the strip, the pre-fader tap included."
);
const POLARITY: Param = param!(
    "polarity",
    choice & ["normal", "inverted"],
    "normal",
    Moves,
    "Turns the signal upside down, in front of the pre-fader tap."
);
const STEREO_POLARITY: Param = param!(
    "polarity",
    choice & ["normal", "inverted", "left", "right"],
    "normal",
    Moves,
    "Turns both sides or one of them upside down, in front of the pre-fader tap."
);
const MUTE: Param = param!("mute", Switch, 0.0, 1.0, Value::Switch(false), Moves, "Silences the strip.");
const PRE_IGNORES_MUTE: Param = param!(
    "pre_ignores_mute",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Moves,
    "Lets the pre-fader tap sound while the strip is muted."
);
const VCA_GAIN: Param = param!(
    "gain",
    Decibels,
    -144.0,
    12.0,
    Value::Number(0.0),
    Moves,
    "What is added to the gain of every member."
);
const MUTE_MEMBERS: Param = param!(
    "mute",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Moves,
    "Silences every member; their own mutes stay as they are."
);
const SOLO_MEMBERS: Param =
    param!("solo", Switch, 0.0, 1.0, Value::Switch(false), Gates, "Solos every member that can be soloed.");
const MIX: Param = param!(
    "mix",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Unheard,
    "Takes the other members along when the gain of one moves, and when one is muted or soloed."
);
const EDIT: Param = param!(
    "edit",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Unheard,
    "Changes the clips that the other members have at the same place when one of them is moved, cut or taken off."
);
const OUTPUT_DELAY: Param = param!(
    "delay",
    Milliseconds,
    0.0,
    1000.0,
    Value::Number(0.0),
    Routes,
    "How much later the output is heard, for loudspeakers that stand nearer than others; no latency is reported for it."
);
const LEVEL: Param = param!("level", Decibels, -144.0, 12.0, Value::Number(0.0), Moves, "Level of the send.");
const TONE_LEVEL: Param =
    param!("level", Decibels, -144.0, 0.0, Value::Number(-18.0), Moves, "Peak level of the tone.");
const FREQUENCY: Param =
    param!("frequency", Hertz, 1.0, 20_000.0, Value::Number(440.0), Moves, "Frequency of the sine.");
const DELAY_FRAMES: Param = param!(
    "frames",
    Frames,
    0.0,
    MAX_DELAY_FRAMES as f64,
    Value::Number(0.0),
    Rebuilds,
    "How many frames later the signal comes out."
);
const DELAY_REPORT: Param = param!(
    "report",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Rebuilds,
    "Reports the delay as latency, so that parallel paths are delayed to match; off for an audible delay."
);
const FIRST_CHANNEL: Param = param!(
    "first_channel",
    Count,
    1.0,
    1024.0,
    Value::Number(1.0),
    Rebuilds,
    "The driver's channel that the first port belongs to, counted from 1."
);

const SOLO: Param = param!(
    "solo",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Gates,
    "Lets only what passes through soloed strips be heard."
);
const SOLO_SAFE: Param = param!(
    "solo_safe",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Gates,
    "Keeps the strip heard while others are soloed."
);
const SAFE_FROM_SOLO: Param = param!(
    "solo_safe",
    Switch,
    0.0,
    1.0,
    Value::Switch(true),
    Gates,
    "Keeps what comes here without a strip on its way heard while strips are soloed."
);
const LOW_LATENCY_MONITOR: Param = param!(
    "low_latency_monitor",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Routes,
    "Passes the track on at once instead of delaying it to match others; the latency report says by how much it is early or late."
);
const ALIGN_GROUP: Param = param!(
    "align_group",
    Count,
    0.0,
    64.0,
    Value::Number(1.0),
    Routes,
    "Outputs of one group are heard together; 0 is in none and as early as can be."
);
const CLICK_LEVEL: Param =
    param!("level", Decibels, -144.0, 0.0, Value::Number(-12.0), Moves, "Peak level of the accented click.");
const BEATS: Param = param!(
    "beats",
    Count,
    0.0,
    32.0,
    Value::Number(0.0),
    Moves,
    "Beats in a bar, of which the first is accented; 0 for those of the session's time signature."
);
const CLICK_PATTERN: Param = param!(
    "pattern",
    Pattern,
    0.0,
    0.0,
    Value::name("auto"),
    Rebuilds,
    "What sounds in a bar, in steps that share it evenly: X accent, x beat, o soft, . nothing; auto for every beat."
);
const NOTES: Param = param!(
    "notes",
    Switch,
    0.0,
    1.0,
    Value::Switch(false),
    Moves,
    "Sounds only while a note is held that came in by MIDI, at the note's pitch."
);
const FEEDBACK_FRAMES: Param = param!(
    "frames",
    Frames,
    1.0,
    MAX_DELAY_FRAMES as f64,
    Value::Number(4800.0),
    Rebuilds,
    "How many frames later what goes in comes out; at least the session's max_block and the latency of its loop."
);

static MONO_TRACK: [Param; 10] =
    [GAIN, PAN, MUTE, TRIM, POLARITY, PAN_LAW, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE, LOW_LATENCY_MONITOR];
static STEREO_TRACK: [Param; 9] =
    [GAIN, PAN, MUTE, TRIM, STEREO_POLARITY, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE, LOW_LATENCY_MONITOR];
static WIDE_TRACK: [Param; 8] =
    [GAIN, MUTE, TRIM, POLARITY, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE, LOW_LATENCY_MONITOR];
static MONO_BUS: [Param; 9] = [GAIN, PAN, MUTE, TRIM, POLARITY, PAN_LAW, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE];
static STEREO_BUS: [Param; 8] = [GAIN, PAN, MUTE, TRIM, STEREO_POLARITY, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE];
static WIDE_BUS: [Param; 7] = [GAIN, MUTE, TRIM, POLARITY, PRE_IGNORES_MUTE, SOLO, SOLO_SAFE];
static MONO_SEND: [Param; 4] = [LEVEL, PAN, MUTE, PAN_LAW];
static STEREO_SEND: [Param; 3] = [LEVEL, PAN, MUTE];
static WIDE_SEND: [Param; 2] = [LEVEL, MUTE];
static MASTER: [Param; 6] =
    [GAIN, MUTE, effects::LIMITER, effects::CEILING, effects::LIMITER_RELEASE, effects::OUTPUT];
static TONE: [Param; 3] = [FREQUENCY, TONE_LEVEL, NOTES];
static CLICK: [Param; 4] = [CLICK_LEVEL, BEATS, CLICK_PATTERN, SAFE_FROM_SOLO];
static FEEDBACK: [Param; 1] = [FEEDBACK_FRAMES];
static DELAY: [Param; 2] = [DELAY_FRAMES, DELAY_REPORT];
static INPUT: [Param; 1] = [FIRST_CHANNEL];
static OUTPUT: [Param; 4] = [FIRST_CHANNEL, OUTPUT_DELAY, ALIGN_GROUP, SAFE_FROM_SOLO];
static VCA: [Param; 3] = [VCA_GAIN, MUTE_MEMBERS, SOLO_MEMBERS];
static GROUP: [Param; 3] = [MUTE_MEMBERS, MIX, EDIT];

/// The parameters of a node of `kind` with `channels` channels. Strips and sends of more than two channels
/// have no pan.
pub fn of(kind: NodeKind, channels: u16) -> &'static [Param] {
    match kind {
        NodeKind::Track => by_width(channels, [&MONO_TRACK, &STEREO_TRACK, &WIDE_TRACK]),
        NodeKind::Bus => by_width(channels, [&MONO_BUS, &STEREO_BUS, &WIDE_BUS]),
        NodeKind::Send => by_width(channels, [&MONO_SEND, &STEREO_SEND, &WIDE_SEND]),
        NodeKind::Master => &MASTER,
        NodeKind::Tone => &TONE,
        NodeKind::Delay => &DELAY,
        NodeKind::Input => &INPUT,
        NodeKind::Output => &OUTPUT,
        NodeKind::Click => &CLICK,
        NodeKind::Feedback => &FEEDBACK,
        NodeKind::Vca => &VCA,
        NodeKind::Group => &GROUP,
        NodeKind::Eq => &effects::EQ,
        NodeKind::Dynamics => &effects::DYNAMICS,
    }
}

/// The table for one, two or more channels.
fn by_width(channels: u16, [mono, stereo, wide]: [&'static [Param]; 3]) -> &'static [Param] {
    match channels {
        1 => mono,
        2 => stereo,
        _ => wide,
    }
}

/// The parameter `name` of `node`.
///
/// # Errors
/// [`ErrorCode::NotFound`] with the close names.
pub fn find(node: &Node, name: &str) -> Result<&'static Param, Error> {
    let params = of(node.kind, node.channels);
    params.iter().find(|p| p.name == name).ok_or_else(|| {
        let all: Vec<_> = params.iter().map(|p| p.name).collect();
        Error::not_found(&format!("parameter of {}", node.slug), name, all.iter().copied())
            .expected(format!("one of {}", all.join(", ")))
    })
}

impl Param {
    /// `value` in this parameter's own form, if it fits: switches also take 0 and 1, and only gains take silence.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for a wrong form, [`ErrorCode::OutOfRange`] for a number outside the range.
    pub fn accept(&self, value: Value) -> Result<Value, Error> {
        let wrong_form = |expected: &str| {
            Error::new(ErrorCode::InvalidArgument, format!("{} cannot be {value}", self.name))
                .expected(expected)
        };
        match (self.unit, value) {
            (Unit::Switch, Value::Switch(_)) => Ok(value),
            (Unit::Switch, Value::Number(number)) if number == 0.0 || number == 1.0 => {
                Ok(Value::Switch(number == 1.0))
            }
            (Unit::Switch, _) => Err(wrong_form("on or off (true or false)")),
            (Unit::Decibels, Value::Silence) => Ok(value),
            (Unit::Choice(names), Value::Name(name)) => {
                let known = names.iter().find(|known| known.eq_ignore_ascii_case(name.as_str()));
                known.map(|known| Value::name(known)).ok_or_else(|| {
                    let error = Error::not_found(
                        &format!("{} called", self.name),
                        name.as_str(),
                        names.iter().copied(),
                    );
                    Error { code: ErrorCode::InvalidArgument, ..error }.expected(one_of(names))
                })
            }
            (Unit::Choice(names), Value::Number(number)) if number.fract() == 0.0 => {
                let known = (number >= 0.0).then(|| names.get(number as usize)).flatten();
                known.map(|known| Value::name(known)).ok_or_else(|| wrong_form(&one_of(names)))
            }
            (Unit::Choice(names), _) => Err(wrong_form(&one_of(names))),
            (Unit::Pattern, Value::Name(name)) if is_pattern(name.as_str()) => Ok(value),
            (Unit::Pattern, _) => Err(wrong_form(PATTERN)),
            (_, Value::Number(number)) if number.is_finite() => {
                if !(self.min..=self.max).contains(&number) {
                    return Err(Error::out_of_range(self.name, number, self.range()));
                }
                if matches!(self.unit, Unit::Frames | Unit::Count) && number.fract() != 0.0 {
                    return Err(wrong_form("a whole number"));
                }
                Ok(value)
            }
            (Unit::Decibels, _) => Err(wrong_form("a number of decibels or \"-inf\"")),
            (Unit::Level, _) => Err(wrong_form("a number of decibels")),
            _ => Err(wrong_form("a number")),
        }
    }

    /// A value of this parameter as one number: [`Value::as_f64`], and of a choice its place in the list.
    pub fn number(&self, value: Value) -> f64 {
        match (self.unit, value) {
            (Unit::Choice(names), Value::Name(name)) => {
                names.iter().position(|known| *known == name.as_str()).unwrap_or(0) as f64
            }
            _ => value.as_f64(),
        }
    }

    /// The names of its values, if it is a choice of some.
    pub fn choices(&self) -> Vec<String> {
        match self.unit {
            Unit::Choice(names) => names.iter().map(|&name| name.to_owned()).collect(),
            _ => Vec::new(),
        }
    }

    /// The range of the numbers.
    pub fn range(&self) -> Range {
        Range { min: self.min, max: self.max, unit: self.unit.name().to_owned() }
    }
}

/// The value that `node` has for `param`: the one stored, else the default.
pub fn get(node: &Node, param: &Param) -> Value {
    node.params.get(param.name).copied().unwrap_or(param.default)
}

/// The parameters of two states of a node whose values differ.
pub fn changed<'a>(old: &'a Node, new: &'a Node) -> impl Iterator<Item = &'static Param> + use<'a> {
    of(new.kind, new.channels).iter().filter(|param| get(old, param) != get(new, param))
}

/// The number that `node` has for the parameter `name`; `None` where the node has no such parameter.
pub fn number(node: &Node, name: &str) -> Option<f64> {
    let param = of(node.kind, node.channels).iter().find(|p| p.name == name)?;
    Some(param.number(get(node, param)))
}

/// What an accent pattern looks like, for error messages.
pub const PATTERN: &str = "auto, or up to 31 of X (accent), x (beat), o (soft) and . (nothing), which share a bar evenly: Xxxx, X.o.x.o.";

fn is_pattern(text: &str) -> bool {
    text == "auto" || text.bytes().all(|b| b"Xxo.".contains(&b))
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_accepted_by_its_parameter() {
        for kind in NodeKind::ALL {
            for channels in [1, 2, 6] {
                for param in of(kind, channels) {
                    assert_eq!(param.accept(param.default).unwrap(), param.default, "{kind} {}", param.name);
                    assert!(!param.text.is_empty());
                }
            }
        }
    }

    #[test]
    fn wrong_values_say_what_was_expected() {
        assert_eq!(GAIN.accept(Value::Number(13.0)).unwrap_err().range.unwrap().max, 12.0);
        assert!(GAIN.accept(Value::Silence).is_ok());
        assert!(PAN.accept(Value::Silence).is_err());
        assert!(PAN.accept(Value::Switch(true)).is_err());
        assert!(DELAY_FRAMES.accept(Value::Number(1.5)).is_err());
        assert_eq!(MUTE.accept(Value::Number(1.0)).unwrap(), Value::Switch(true));
        assert!(MUTE.accept(Value::Number(0.5)).is_err());
    }
}
