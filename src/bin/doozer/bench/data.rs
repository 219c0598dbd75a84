//! Keys and values. The same as other load generators of the project use, so that figures can be
//! compared.

use bytes::{Bytes, BytesMut};

/// The file that the workload `cas` counts in. The numbered keys are in directories of numbers.
pub const COUNTER: &str = "/bench/shared/counter";
/// The file that the workload `watch` writes.
pub const WATCHED: &str = "/bench/shared/watched";

/// Keys in one directory.
const FAN_OUT: usize = 1000;
/// Bytes of each key: `/bench/0000/0000`.
const KEY_BYTES: usize = 16;

/// All keys in one piece of memory, so that taking one costs no allocation.
pub struct Keys {
    text: Bytes,
    count: usize,
}

impl Keys {
    /// The first `count` keys.
    pub fn new(count: usize) -> Keys {
        let mut text = BytesMut::with_capacity(count * KEY_BYTES);
        for index in 0..count {
            let key = format!("/bench/{:04}/{:04}", index / FAN_OUT, index % FAN_OUT);
            assert_eq!(key.len(), KEY_BYTES);
            text.extend_from_slice(key.as_bytes());
        }
        Keys {
            text: text.freeze(),
            count,
        }
    }

    /// The key with this number, if there are so many.
    pub fn key(&self, index: usize) -> Option<Bytes> {
        let begin = (index < self.count).then_some(index * KEY_BYTES)?;
        Some(self.text.slice(begin..begin + KEY_BYTES))
    }

    /// One of the keys.
    pub fn any(&self, random: &mut Random) -> Bytes {
        self.key(random.below(self.count)).unwrap_or_default()
    }
}

/// A small fast generator of random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A random number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A random number below a bound that is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Bytes that do not compress.
    pub fn value(&mut self, size: usize) -> Bytes {
        (0..size).map(|_| (self.next() >> 56) as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_spread_over_directories() {
        let keys = Keys::new(2001);
        assert_eq!(keys.key(0).unwrap(), "/bench/0000/0000");
        assert_eq!(keys.key(1999).unwrap(), "/bench/0001/0999");
        assert_eq!(keys.key(2000).unwrap(), "/bench/0002/0000");
        assert_eq!(keys.key(2001), None);
    }
}
