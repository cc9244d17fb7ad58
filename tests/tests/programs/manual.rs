//! The manual's pages, as groff reads them.

use std::{fs, process::Command};

use aulos_tests::server::text;

use crate::Home;

#[test]
fn every_page_is_read_without_a_warning() {
    let home = Home::new();
    home.say("man pages");
    let page = home.daemon().arg("--manual").output().unwrap();
    assert!(page.status.success());
    fs::write(home.path("pages/aulosd.1"), page.stdout).unwrap();
    let mut pages: Vec<_> =
        fs::read_dir(home.path("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 60, "{} pages", pages.len());
    for page in &pages {
        let output = Command::new("groff")
            .args(["-man", "-ww", "-Kutf8", "-Tutf8", "-rHY=0"])
            .arg(page)
            .output()
            .unwrap_or_else(|error| panic!("groff: {error}; it is installed by make deps"));
        assert!(output.status.success());
        assert_eq!(text(&output.stderr), "", "{}", page.display());
        assert!(output.stdout.len() > 200, "{} is empty", page.display());
    }
    let read = |name: &str| fs::read_to_string(home.path("pages").join(name)).unwrap();
    assert!(read("aulosctl.1").contains("Exit codes") && read("aulosctl-render.1").contains("stems"));
    assert!(read("aulosd.1").contains("session"));
    assert!(home.say("man") == read("aulosctl.1"), "two pages of one program");
}
