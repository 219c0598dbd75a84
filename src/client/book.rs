//! The addresses of a cluster, and the order in which they are tried.

use super::uri::Address;

/// Addresses that a client remembers: those it was given and those of the members it learned.
const ADDRESSES_MAX: usize = 256;

/// The addresses, and which of them is tried first.
#[derive(Default)]
pub(super) struct Book {
    addresses: Vec<Address>,
    first: usize,
}

impl Book {
    /// All, in the order in which they became known.
    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    pub(super) fn add(&mut self, addr: Address) {
        if !self.addresses.contains(&addr) && self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(addr);
        }
    }

    /// All, the one to try first at the front.
    pub(super) fn in_turn(&self) -> Vec<Address> {
        let (before, from) = self
            .addresses
            .split_at(self.first.min(self.addresses.len()));
        from.iter().chain(before).cloned().collect()
    }

    /// Tries this one before the others.
    pub(super) fn prefer(&mut self, addr: &Address) {
        self.first = self.addresses.iter().position(|a| a == addr).unwrap_or(0);
    }

    /// Tries the others before this one.
    pub(super) fn leave(&mut self, addr: &Address) {
        if self.addresses.get(self.first) == Some(addr) {
            self.first = (self.first + 1) % self.addresses.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_left_is_tried_last() {
        let mut book = Book::default();
        let [a, b, c] = ["a", "b", "c"].map(|host| host.parse::<Address>().unwrap());
        for addr in [&a, &b, &c, &a] {
            book.add(addr.clone());
        }
        assert_eq!(book.in_turn(), [a.clone(), b.clone(), c.clone()]);
        book.leave(&a);
        assert_eq!(book.in_turn(), [b.clone(), c.clone(), a.clone()]);
        book.leave(&a);
        book.prefer(&c);
        assert_eq!(book.in_turn(), [c, a, b]);
    }
}
