use super::*;
use proptest::prelude::*;

#[test]
fn heads_are_read() {
    let mp3 = |channels, rate, duration| Form {
        kind: Kind::Mp3 { first: duration == 1_152 },
        channels,
        rate,
        duration,
    };
    for (bytes, form, len) in [
        ([0xff, 0xfb, 0x90, 0x00, 0, 0, 0], mp3(2, 44_100, 1_152), 417),
        ([0xff, 0xfb, 0x92, 0xc0, 0, 0, 0], mp3(1, 44_100, 1_152), 418),
        ([0xff, 0xf3, 0x84, 0x40, 0, 0, 0], mp3(2, 24_000, 576), 192),
        ([0xff, 0xe3, 0x18, 0xc4, 0, 0, 0], mp3(1, 8_000, 576), 72),
        (
            [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc],
            Form { kind: Kind::Aac { low_complexity: true }, channels: 2, rate: 44_100, duration: 1_024 },
            371,
        ),
    ] {
        let head = head(&bytes).unwrap();
        assert_eq!((head.form, head.len), (form, len), "{bytes:x?}");
    }
    for no in [
        [0xff, 0xfb, 0xf0, 0, 0, 0, 0],
        [0xff, 0xfb, 0x00, 0, 0, 0, 0],
        [0xff, 0xfb, 0x9c, 0, 0, 0, 0],
        [0xff, 0xfd, 0x90, 0, 0, 0, 0],
        [0xff, 0xeb, 0x90, 0, 0, 0, 0],
        [0xff, 0xf1, 0x74, 0x80, 0x2e, 0x7f, 0xfc],
        [0xff, 0xf1, 0x50, 0x80, 0, 0, 0],
    ] {
        assert_eq!(head(&no), None, "{no:x?}");
    }
}

#[test]
fn the_encoders_note_is_read() {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
    frame.resize(417, 0);
    assert_eq!(encoders_note(&frame, true, 2), None);
    frame[36..44].copy_from_slice(b"Info\0\0\0\x0f");
    frame[44..48].copy_from_slice(&77u32.to_be_bytes());
    let tag = 36 + 8 + 4 + 4 + 100 + 4;
    assert_eq!(encoders_note(&frame, true, 2), Some(Note { frames: Some(77), delay: 0, padding: 0 }));
    frame[tag..tag + 9].copy_from_slice(b"LAME3.100");
    frame[tag + 21..tag + 24].copy_from_slice(&[0x24, 0x04, 0xb0]);
    let note = Note { frames: Some(77), delay: 576 + 529, padding: 1_200 - 529 };
    assert_eq!(encoders_note(&frame, true, 2), Some(note));
    // Cut anywhere it is read as far as it goes.
    for len in 0..frame.len() {
        let _ = encoders_note(&frame[..len], true, 2);
    }
}

proptest! {
    #[test]
    fn any_head_has_a_length(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Some(head) = head(&bytes) {
            prop_assert!(head.len > head.before && head.len < 1 << 13);
            prop_assert!(head.form.channels <= 8 && head.form.rate > 0 && head.form.duration > 0);
        }
    }

    #[test]
    fn any_frame_has_a_note_or_none(bytes in prop::collection::vec(any::<u8>(), 0..600), tag in any::<bool>()) {
        let mut bytes = bytes;
        if tag && bytes.len() > 60 {
            bytes[36..40].copy_from_slice(b"Xing");
        }
        let _ = encoders_note(&bytes, true, 2);
    }
}
