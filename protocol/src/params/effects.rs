//! The parameters of equalizer, dynamics and limiter.

use super::{Effect, Param, Unit};
use crate::Value;

/// What a band of an equalizer can be, in the order of its numbers.
pub const BAND_KINDS: &[&str] = &["low_cut", "low_shelf", "bell", "high_shelf", "high_cut", "notch"];

/// The slopes of cuts.
const SLOPES: &[&str] = &["12dB", "24dB"];

/// How the compressor measures what it hears.
const DETECTORS: &[&str] = &["peak", "rms"];

const fn param(
    name: &'static str,
    unit: Unit,
    (min, max): (f64, f64),
    default: Value,
    text: &'static str,
) -> Param {
    Param { name, unit, min, max, default, effect: Effect::Moves, text }
}

const fn number(
    name: &'static str,
    unit: Unit,
    range: (f64, f64),
    default: f64,
    text: &'static str,
) -> Param {
    param(name, unit, range, Value::Number(default), text)
}

const fn switch(name: &'static str, default: bool, text: &'static str) -> Param {
    param(name, Unit::Switch, (0.0, 1.0), Value::Switch(default), text)
}

const fn choice(
    name: &'static str,
    names: &'static [&'static str],
    default: &str,
    text: &'static str,
) -> Param {
    param(name, Unit::Choice(names), (0.0, (names.len() - 1) as f64), Value::name(default), text)
}

const BYPASS: Param = switch("bypass", false, "Lets the input be heard as it is.");

macro_rules! bands {
    ($($number:literal: $on:literal, $kind:literal, $frequency:literal, $q:literal;)*) => {
        [
            BYPASS,
            number("gain", Unit::Decibels, (-144.0, 24.0), 0.0, "Level behind the bands."),
            $(
                switch(concat!("band", $number, "_on"), $on, "Whether the band does anything."),
                choice(concat!("band", $number, "_kind"), BAND_KINDS, $kind, "What the band does."),
                number(
                    concat!("band", $number, "_frequency"),
                    Unit::Hertz,
                    (10.0, 20_000.0),
                    $frequency,
                    "Middle of a bell or notch, corner of a cut or shelf; no higher than 0.475 of the rate."
                ),
                number(
                    concat!("band", $number, "_gain"),
                    Unit::Level,
                    (-24.0, 24.0),
                    0.0,
                    "How much a bell or shelf raises or lowers."
                ),
                number(
                    concat!("band", $number, "_q"),
                    Unit::Factor,
                    (0.1, 40.0),
                    $q,
                    "How narrow a bell or notch is; how a shelf or cut bends, flattest at 0.707."
                ),
                choice(
                    concat!("band", $number, "_slope"),
                    SLOPES,
                    "12dB",
                    "How steep a cut is, for each octave."
                ),
            )*
        ]
    };
}

pub(super) const LIMITER: Param = Param {
    effect: Effect::Rebuilds,
    ..switch(
        "limiter",
        false,
        "Keeps true peaks below the ceiling; looks ahead, which makes the master later.",
    )
};
pub(super) const CEILING: Param =
    number("ceiling", Unit::Level, (-24.0, 0.0), -1.0, "True peak that the limiter lets through, in dBTP.");
pub(super) const LIMITER_RELEASE: Param = number(
    "release",
    Unit::Milliseconds,
    (1.0, 2000.0),
    100.0,
    "Until 63% of what was limited is not any more.",
);
pub(super) const OUTPUT: Param =
    number("output", Unit::Decibels, (-144.0, 12.0), 0.0, "Gain behind the limiter.");

/// Bells and shelves are on, as they let everything through until they get a gain.
pub(super) static EQ: [Param; 50] = bands! {
    1: false, "low_cut", 40.0, 0.707;
    2: true, "low_shelf", 100.0, 0.707;
    3: true, "bell", 250.0, 1.0;
    4: true, "bell", 600.0, 1.0;
    5: true, "bell", 1500.0, 1.0;
    6: true, "bell", 4000.0, 1.0;
    7: true, "high_shelf", 8000.0, 0.707;
    8: false, "high_cut", 18_000.0, 0.707;
};

const TIME: Unit = Unit::Milliseconds;

pub(super) static DYNAMICS: [Param; 19] = [
    BYPASS,
    switch("sidechain", false, "Listens to the sidechain inputs instead of what comes in."),
    switch("low_cut", false, "Cuts bass from what gate and compressor listen to, with 12 dB per octave."),
    number("low_cut_frequency", Unit::Hertz, (10.0, 2000.0), 100.0, "Corner of that cut."),
    switch("gate", false, "Switches the gate, which turns down what is quiet."),
    number("gate_threshold", Unit::Level, (-90.0, 0.0), -40.0, "Peak level that opens the gate."),
    number(
        "gate_hysteresis",
        Unit::Level,
        (0.0, 24.0),
        6.0,
        "How much lower the level is that keeps it open.",
    ),
    number("gate_attack", TIME, (0.01, 1000.0), 1.0, "From closed to open."),
    number("gate_hold", TIME, (0.0, 5000.0), 50.0, "How long it stays open when it has become quiet."),
    number("gate_release", TIME, (1.0, 5000.0), 100.0, "From open to closed."),
    number("gate_range", Unit::Decibels, (-144.0, 0.0), -60.0, "Gain while it is closed."),
    switch("compressor", true, "Switches the compressor, which turns down what is loud."),
    choice("detector", DETECTORS, "peak", "Goes by peaks, or by the RMS over some 10 ms."),
    number("threshold", Unit::Level, (-60.0, 0.0), -20.0, "Level above which the compressor turns down."),
    number("ratio", Unit::Ratio, (1.0, 100.0), 4.0, "How many dB more come in for one more to come out."),
    number("knee", Unit::Level, (0.0, 24.0), 6.0, "Over how many dB around the threshold it sets in."),
    number("attack", TIME, (0.01, 1000.0), 10.0, "Until 63% of what is to be turned down is."),
    number("release", TIME, (1.0, 5000.0), 150.0, "Until 63% of what was turned down is not any more."),
    number("makeup", Unit::Level, (-24.0, 24.0), 0.0, "Gain behind the compressor."),
];
