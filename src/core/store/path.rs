//! Paths of files and directories.

use std::fmt;
use std::sync::Arc;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};

/// A well-formed path: `/`, or components of `A-Z a-z 0-9 . -`, each preceded by one `/`.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

/// The text is not a well-formed path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a path: it must be \"/\", or one or more components of A-Z a-z 0-9 . - each preceded by \
     one \"/\""
)]
pub struct PathError;

impl Path {
    /// Checks and takes a path. Its length is not limited here.
    pub fn parse(text: &[u8]) -> Result<Path, PathError> {
        let well_formed = match text {
            b"/" => true,
            [b'/', rest @ ..] => rest.split(|b| *b == b'/').all(|name| {
                !name.is_empty()
                    && name
                        .iter()
                        .all(|b| b.is_ascii_alphanumeric() || *b == b'.' || *b == b'-')
            }),
            _ => false,
        };
        match std::str::from_utf8(text) {
            Ok(text) if well_formed => Ok(Path(text.into())),
            _ => Err(PathError),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names along the path; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Encode for Path {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for Path {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Path, DecodeError> {
        let text = String::decode(decoder)?;
        Path::parse(text.as_bytes()).map_err(|_| DecodeError::Other("a malformed path"))
    }
}

impl<'de, C> BorrowDecode<'de, C> for Path {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Path, DecodeError> {
        let text = <&str>::borrow_decode(decoder)?;
        Path::parse(text.as_bytes()).map_err(|_| DecodeError::Other("a malformed path"))
    }
}
