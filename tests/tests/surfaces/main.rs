//! Every command and query by every surface: the socket, aulosctl, OSC, D-Bus and agents. Each surface has a server of
//! its own; the same is asked of all of them in the same order, and after each step all have the same state.

mod doors;
mod rows;

use std::collections::BTreeSet;

use aulos_protocol::registry;
use aulos_tests::server::project;

use doors::{Door, Kind};
use rows::Row;

/// Asks all of this of every surface, and compares.
fn drive(driver: &str, rows: &[Row]) {
    let mut doors: Vec<_> = Kind::ALL.into_iter().map(|kind| Door::new(kind, driver)).collect();
    for row in rows {
        let mut before = None;
        let mut first = None;
        for door in &mut doors {
            door.prepare(row);
            if row.stepping {
                door.begin_clock();
            }
            let then = door.state();
            let told = door.call(row);
            assert!(
                told.contains(row.says),
                "{} by {:?} does not say {}: {told}",
                row.method,
                door.kind,
                row.says
            );
            if row.stepping {
                door.begin_clock();
            }
            let ends = row.method == "shutdown";
            let now = if ends { door.ended() } else { door.settled() };
            if row.changes {
                assert_ne!(then, now, "{} by {:?} changes nothing", row.method, door.kind);
            } else {
                assert_eq!(then, now, "{} by {:?} changes something", row.method, door.kind);
            }
            assert_eq!(before.get_or_insert_with(|| then.clone()), &then, "{}, {:?}", row.method, door.kind);
            assert_eq!(first.get_or_insert_with(|| now.clone()), &now, "{} by {:?}", row.method, door.kind);
        }
    }
}

#[test]
fn every_method_does_the_same_by_every_surface() {
    drive("stepped", &rows::stepped());
}

#[test]
fn the_driver_is_changed_by_every_surface() {
    drive("dummy", &rows::dummy());
}

/// To bring the page up to date, run the test with AULOS_WRITE=1.
#[test]
fn the_page_has_every_method_as_it_is_asked_here() {
    const HEAD: &str = "<!-- every method -->\n";
    let path = project().join("docs/surfaces.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (text, written) = page.split_once(HEAD).unwrap();
    let rows: Vec<_> = rows::stepped().into_iter().chain(rows::dummy()).collect();
    let asked: BTreeSet<_> = rows.iter().map(|row| row.method).collect();
    assert_eq!(
        asked,
        registry::methods().iter().map(|method| method.name).collect(),
        "a method is not asked"
    );
    let table = rows::table(&rows);
    if std::env::var_os("AULOS_WRITE").is_some() {
        std::fs::write(path, format!("{text}{HEAD}{table}")).unwrap();
        return;
    }
    assert!(written == table, "docs/surfaces.md is not up to date");
}
