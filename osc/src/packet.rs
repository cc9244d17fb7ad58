//! Packets, read leniently: much that is sent is not quite OSC. `rosc` reads what is put in order here first.

use rosc::{OscBundle, OscMessage, OscPacket, OscTime};

/// How deep bundles may lie in one another.
const MOST_DEPTH: usize = 8;
/// The most messages in a packet.
pub const MOST_MESSAGES: usize = 4096;
const BUNDLE: &[u8] = b"#bundle\0";
/// The time that means at once.
pub const AT_ONCE: OscTime = OscTime { seconds: 0, fractional: 1 };

/// Reads a packet, whether it is strictly OSC or not: a message without type tags has no arguments, symbols are texts,
/// padding at the end may be missing.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn read(bytes: &[u8]) -> Result<OscPacket, String> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut messages = 0;
    repair(bytes, 0, &mut messages, &mut out)?;
    let (rest, packet) =
        rosc::decoder::decode_udp(&out).map_err(|error| format!("no OSC packet: {error}"))?;
    if rest.is_empty() {
        Ok(packet)
    } else {
        Err("no OSC packet: there is more than its type tags say".into())
    }
}

/// A packet as it travels.
///
/// # Errors
/// A sentence, if an address has a NUL character in it.
pub fn write(packet: &OscPacket) -> Result<Vec<u8>, String> {
    rosc::encoder::encode(packet).map_err(|error| format!("no OSC packet can be made: {error}"))
}

/// Puts a packet in order, so that it is OSC to the letter.
fn repair(bytes: &[u8], depth: usize, messages: &mut usize, out: &mut Vec<u8>) -> Result<(), String> {
    if let Some(rest) = bytes.strip_prefix(BUNDLE) {
        if depth == MOST_DEPTH {
            return Err(format!("bundles lie deeper than {MOST_DEPTH} in one another"));
        }
        let (time, mut rest) = rest.split_at_checked(8).ok_or("a bundle without a time")?;
        out.extend([BUNDLE, time].concat());
        while let Some((size, after)) = rest.split_first_chunk() {
            let size = u32::from_be_bytes(*size) as usize;
            let (element, after) = after
                .split_at_checked(size)
                .ok_or_else(|| format!("a bundle's element of {size} bytes is cut off"))?;
            rest = after;
            let begin = out.len();
            out.extend([0; 4]);
            repair(element, depth + 1, messages, out)?;
            let size = u32::try_from(out.len() - begin - 4).map_err(|_| "a bundle is too large")?;
            out[begin..begin + 4].copy_from_slice(&size.to_be_bytes());
        }
        return if rest.is_empty() { Ok(()) } else { Err("a bundle ends in the middle of a size".into()) };
    }
    *messages += 1;
    if *messages > MOST_MESSAGES {
        return Err(format!("more than {MOST_MESSAGES} messages in a packet"));
    }
    let (address, rest) = text(bytes);
    if address.first() != Some(&b'/') {
        return Err("an OSC address begins with a slash".into());
    }
    put(address, out);
    let tags = match rest.first() {
        None | Some(0) => {
            // Without type tags; some send the first empty word of them.
            if rest.iter().any(|byte| *byte != 0) {
                return Err("arguments without type tags".into());
            }
            put(b",", out);
            return Ok(());
        }
        Some(b',') => rest,
        Some(_) => return Err("the type tags do not begin with a comma".into()),
    };
    let (tags, data) = text(tags);
    let known: Vec<u8> = tags.iter().map(|tag| if *tag == b'S' { b's' } else { *tag }).collect();
    if let Some(tag) = known[1..].iter().find(|tag| !b"ifdhstbTFNIcrm[]".contains(tag)) {
        return Err(format!("a type of argument that is not known: {:?}", char::from(*tag)));
    }
    put(&known, out);
    // Of a text at the end the padding may be missing; a number would be cut off.
    match known.last() {
        Some(b's') if !data.is_empty() && data.last() != Some(&0) => put(data, out),
        Some(b's') => {
            out.extend(data);
            pad(out);
        }
        _ => out.extend(data),
    }
    Ok(())
}

/// The text at the front, and what comes behind its padding.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get((end / 4 + 1) * 4..).unwrap_or_default())
}

fn put(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text);
    out.push(0);
    pad(out);
}

/// Everything in a packet begins at a multiple of four bytes, and so did the packet.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The messages of a packet in order, each with the time of the innermost bundle that it is in.
pub fn messages(packet: OscPacket) -> Vec<(OscTime, OscMessage)> {
    fn gather(packet: OscPacket, time: OscTime, out: &mut Vec<(OscTime, OscMessage)>) {
        match packet {
            OscPacket::Message(message) => out.push((time, message)),
            OscPacket::Bundle(OscBundle { timetag, content }) => {
                content.into_iter().for_each(|packet| gather(packet, timetag, out));
            }
        }
    }
    let mut out = Vec::new();
    gather(packet, AT_ONCE, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rosc::OscType;

    use super::*;

    fn message(bytes: &[u8]) -> OscMessage {
        match read(bytes) {
            Ok(OscPacket::Message(message)) => message,
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_quite_osc_is_read_as_it_was_meant() {
        for (bytes, address, args) in [
            (&b"/xremote\0\0\0\0"[..], "/xremote", vec![]),
            (b"/xremote", "/xremote", vec![]),
            (b"/abc\0\0\0\0\0\0\0\0", "/abc", vec![]),
            (b"/ab\0,S\0\0drums", "/ab", vec![OscType::String("drums".into())]),
            (b"/ab\0,s\0\0drum", "/ab", vec![OscType::String("drum".into())]),
            (b"/ab\0,s\0\0dru\0", "/ab", vec![OscType::String("dru".into())]),
            (b"/ab\0,s\0\0d\0", "/ab", vec![OscType::String("d".into())]),
            (b"/ab\0,i\0\0\0\0\0\x07", "/ab", vec![OscType::Int(7)]),
            (b"/ab\0,TF\0", "/ab", vec![OscType::Bool(true), OscType::Bool(false)]),
        ] {
            let read = message(bytes);
            assert_eq!((read.addr.as_str(), read.args), (address, args));
        }
    }

    #[test]
    fn what_is_no_osc_is_refused_with_a_reason() {
        let mut deep = b"/a\0\0".to_vec();
        for _ in 0..9 {
            let size = u32::try_from(deep.len()).unwrap().to_be_bytes();
            deep = [BUNDLE, &[0; 8], &size, &deep].concat();
        }
        for (bytes, part) in [
            (&b""[..], "begins with a slash"),
            (b"node\0\0\0\0", "begins with a slash"),
            (b"/a\0\0\0\0\0\x07", "without type tags"),
            (b"/a\0\0i\0\0\0", "comma"),
            (b"/a\0\0,q\0\0", "'q'"),
            (b"/a\0\0,i\0\0\0\0", "no OSC packet"),
            (b"#bundle\0", "without a time"),
            (b"#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x09/a\0\0", "cut off"),
            (b"#bundle\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff/a\0\0", "cut off"),
            (b"#bundle\0\0\0\0\0\0\0\0\x01\0\0", "middle"),
            (&deep, "deeper"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(part), "{bytes:?}: {error}");
        }
    }

    fn any_type() -> impl Strategy<Value = OscType> {
        prop_oneof![
            any::<i32>().prop_map(OscType::Int),
            (-1e6f32..1e6).prop_map(OscType::Float),
            any::<i64>().prop_map(OscType::Long),
            "[ -~]{0,12}".prop_map(OscType::String),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(OscType::Blob),
            any::<bool>().prop_map(OscType::Bool),
            Just(OscType::Nil),
        ]
    }

    fn any_packet() -> impl Strategy<Value = OscPacket> {
        let message = ("(/[a-z]{1,9}){1,3}", prop::collection::vec(any_type(), 0..5))
            .prop_map(|(addr, args)| OscPacket::Message(OscMessage { addr, args }));
        message.prop_recursive(3, 12, 4, |inner| {
            (any::<(u32, u32)>(), prop::collection::vec(inner, 0..4)).prop_map(|(time, content)| {
                OscPacket::Bundle(OscBundle {
                    timetag: OscTime { seconds: time.0, fractional: time.1 },
                    content,
                })
            })
        })
    }

    proptest! {
        #[test]
        fn what_is_osc_stays_what_it_is(packet in any_packet()) {
            prop_assert_eq!(read(&write(&packet).unwrap()).unwrap(), packet);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tags in ",[a-zA-Z\\[\\]]{0,9}") {
            let _ = read(&bytes);
            let mut message = b"/ab\0".to_vec();
            put(tags.as_bytes(), &mut message);
            let _ = read(&[&message, &bytes[..]].concat());
            let _ = read(&[BUNDLE, &bytes[..]].concat());
        }
    }
}
