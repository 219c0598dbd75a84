//! Changes to the tree.

use std::fmt;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

use super::condition::Condition;
use super::path::Path;

/// A change that somebody asks for. Each takes one revision, refused ones too.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Mutation {
    /// Write a file, and create it and the directories above it where they are missing.
    Set {
        /// The file.
        path: Path,
        /// Its content.
        value: Value,
        /// What its revision must be.
        condition: Condition,
    },
    /// Delete a file, and the directories that are left empty.
    Del {
        /// The file.
        path: Path,
        /// What its revision must be.
        condition: Condition,
    },
    /// Take a revision, change nothing.
    Nop,
}

/// The content of a file. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Value(pub Bytes);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Encode for Value {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (*self.0).encode(encoder)
    }
}

impl<C> Decode<C> for Value {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Value, DecodeError> {
        Ok(Value(Vec::<u8>::decode(decoder)?.into()))
    }
}

impl<'de, C> BorrowDecode<'de, C> for Value {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Value, DecodeError> {
        Ok(Value(Bytes::copy_from_slice(<&[u8]>::borrow_decode(
            decoder,
        )?)))
    }
}
