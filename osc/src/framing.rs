//! Packets in a stream of bytes. There are two ways: OSC 1.0 puts the size in front of each packet, OSC 1.1 puts each
//! between two END bytes (SLIP, RFC 1055). The first byte of a stream tells which.

use std::fmt;

/// The largest packet, in bytes.
pub const MOST_BYTES: usize = 64 << 10;

const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;

/// How packets are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Four bytes of size, big endian, then the packet.
    Sized,
    /// Between END bytes, with escapes.
    Slip,
}

impl Framing {
    /// That of a stream that begins with this byte. A size below 16 MiB begins with 0; with SLIP it is END, or a
    /// packet itself, of those who leave the first END away.
    pub fn of(first: u8) -> Self {
        match first {
            END | b'/' | b'#' => Self::Slip,
            _ => Self::Sized,
        }
    }

    /// A packet as it travels.
    pub fn wrap(self, packet: &[u8]) -> Vec<u8> {
        match self {
            Self::Sized => {
                let size = u32::try_from(packet.len()).unwrap_or(u32::MAX);
                [&size.to_be_bytes(), packet].concat()
            }
            Self::Slip => {
                let mut out = vec![END];
                for &byte in packet {
                    match byte {
                        END => out.extend([ESC, ESC_END]),
                        ESC => out.extend([ESC, ESC_ESC]),
                        byte => out.push(byte),
                    }
                }
                out.push(END);
                out
            }
        }
    }
}

/// Why a stream cannot be read on: there is no telling where the next packet begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Takes a stream apart. Holds at most one packet and what was pushed last.
#[derive(Debug, Default)]
pub struct Deframer {
    framing: Option<Framing>,
    packet: Vec<u8>,
    /// Of SLIP: an escape has begun.
    escaped: bool,
    /// Of SLIP: the packet is too long, and what is left of it is skipped.
    skips: bool,
}

impl Deframer {
    /// How the other side tells packets apart; not known before its first byte.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Takes what was read, and gives each packet that it ends to `take`.
    ///
    /// # Errors
    /// A packet that is larger than [`MOST_BYTES`] where sizes tell packets apart.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Broken> {
        let Some(&first) = bytes.first() else { return Ok(()) };
        match *self.framing.get_or_insert_with(|| Framing::of(first)) {
            Framing::Sized => self.sized(bytes, take),
            Framing::Slip => {
                bytes.iter().for_each(|byte| self.slip(*byte, &mut take));
                Ok(())
            }
        }
    }

    fn sized(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let wanted = match self.packet.first_chunk() {
                None => 4,
                Some(size) => {
                    let size = u32::from_be_bytes(*size) as usize;
                    if size > MOST_BYTES {
                        return Err(Broken(format!(
                            "a packet of {size} bytes; at most {MOST_BYTES} are read"
                        )));
                    }
                    4 + size
                }
            };
            let (now, rest) = bytes.split_at(bytes.len().min(wanted - self.packet.len()));
            self.packet.extend_from_slice(now);
            bytes = rest;
            let whole = self.packet.first_chunk().map(|size| 4 + u32::from_be_bytes(*size) as usize);
            if whole == Some(self.packet.len()) {
                if self.packet.len() > 4 {
                    take(&self.packet[4..]);
                }
                self.packet.clear();
            }
        }
        Ok(())
    }

    fn slip(&mut self, byte: u8, take: &mut impl FnMut(&[u8])) {
        let byte = match (std::mem::take(&mut self.escaped), byte) {
            (_, END) => {
                // Two packets may have one END or two between them.
                if !self.packet.is_empty() && !self.skips {
                    take(&self.packet);
                }
                self.packet.clear();
                self.skips = false;
                return;
            }
            (true, ESC_END) => END,
            (true, ESC_ESC) => ESC,
            (false, ESC) => {
                self.escaped = true;
                return;
            }
            (_, byte) => byte,
        };
        if self.packet.len() < MOST_BYTES {
            self.packet.push(byte);
        } else {
            self.skips = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(deframer: &mut Deframer, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Broken> {
        let mut found = Vec::new();
        deframer.push(bytes, |packet| found.push(packet.to_vec())).map(|()| found)
    }

    #[test]
    fn a_packet_that_is_too_long_ends_a_sized_stream_and_is_skipped_in_the_other() {
        let mut sized = Deframer::default();
        let size = [0, 1, 0, 1];
        assert!(packets(&mut sized, &[&size[..], b"x"].concat()).unwrap_err().to_string().contains("65537"));
        let mut slip = Deframer::default();
        let long = vec![b'x'; MOST_BYTES + 1];
        let found = packets(&mut slip, &[&[END][..], &long, &[END], b"/a", &[END]].concat()).unwrap();
        assert_eq!(found, [b"/a"]);
        assert_eq!(slip.framing(), Some(Framing::Slip));
    }

    proptest! {
        #[test]
        fn what_was_wrapped_is_unwrapped_however_it_is_cut(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..8),
            sized in any::<bool>(),
            cut in 1usize..50,
        ) {
            let framing = if sized { Framing::Sized } else { Framing::Slip };
            let stream: Vec<u8> = sent.iter().flat_map(|packet| framing.wrap(packet)).collect();
            let mut deframer = Deframer::default();
            let mut found = Vec::new();
            for part in stream.chunks(cut) {
                found.extend(packets(&mut deframer, part).unwrap());
            }
            prop_assert_eq!(found, sent);
            prop_assert_eq!(deframer.framing(), Some(framing));
        }

        #[test]
        fn no_stream_panics(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut deframer = Deframer::default();
            for part in parts {
                if packets(&mut deframer, &part).is_err() {
                    break;
                }
            }
        }
    }
}
