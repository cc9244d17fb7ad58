//! The bearer token of the HTTP surface, which only this user can read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aulos_protocol::{Error, ErrorCode};
use subtle::ConstantTimeEq;

/// A token.
pub struct Token(Vec<u8>);

/// Bytes of chance in a token that is made.
const BYTES: usize = 32;
/// The shortest token that is taken.
const SHORTEST: usize = 16;
/// The longest file that is read as a token.
const LONGEST: u64 = 4096;

impl Token {
    /// Reads the token in a file, or makes one if the file is not there.
    ///
    /// # Errors
    /// [`ErrorCode::Io`]; [`ErrorCode::InvalidArgument`] for a file that others can read, or that holds no token.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        match OpenOptions::new().read(true).open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(Error::io(&format!("read the token {}", path.display()), &error)),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, Error> {
        let io = |error: io::Error| Error::io(&format!("read the token {}", path.display()), &error);
        let found = file.metadata().map_err(io)?;
        if found.mode() & 0o077 != 0 || found.uid() != rustix::process::getuid().as_raw() {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!("the token {} can be read by others than you", path.display()),
            )
            .expected("a file of yours with mode 0600")
            .remedy("remove it, and a new one is made"));
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
        let token = text.trim();
        let is_one = token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_one {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("{} holds no token", path.display()))
                .expected(format!("{SHORTEST} or more letters and digits in a line"))
                .remedy("remove it, and a new one is made"));
        }
        Ok(Self(token.as_bytes().to_vec()))
    }

    fn make(path: &Path) -> Result<Self, Error> {
        let io = |error: io::Error| Error::io(&format!("make the token {}", path.display()), &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        let mut chance = [0; BYTES];
        let mut filled = 0;
        while filled < BYTES {
            let flags = rustix::rand::GetRandomFlags::empty();
            let more = rustix::rand::getrandom(&mut chance[filled..], flags);
            filled += more.map_err(|error| io(error.into()))?;
        }
        let text: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        writeln!(file, "{text}").map_err(io)?;
        Ok(Self(text.into_bytes()))
    }

    /// Whether this is the token; takes as long for one that is wrong in the first letter as in the last.
    pub fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

/// Where the token is unless said otherwise: beside the usual control socket.
pub fn default_file(env: impl Fn(&str) -> Option<String>, uid: u32) -> PathBuf {
    let without_socket = |name: &str| if name == "AULOS_SOCKET" { None } else { env(name) };
    aulos_protocol::client::default_socket(without_socket, uid).with_file_name("mcp-token")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aulos/mcp-token");
        let made = Token::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let again = Token::of_file(&path).unwrap();
        assert!(made.is(&again.0) && again.0.len() == 64);
        assert!(!made.is(b"") && !made.is(&again.0[1..]) && !made.is(&[0; 64]));
    }

    #[test]
    fn what_others_can_read_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp-token");
        Token::of_file(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Token::of_file(&path).is_err());
        for text in ["", "short", "0123456789abcde f"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(Token::of_file(&path).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_token_lies_beside_the_usual_socket() {
        let env = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/7".to_owned()),
            "AULOS_SOCKET" => Some("/somewhere/else.sock".to_owned()),
            _ => None,
        };
        assert_eq!(default_file(env, 7), Path::new("/run/user/7/aulos/mcp-token"));
    }
}
