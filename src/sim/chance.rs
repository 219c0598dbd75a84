//! Randomness without a stream: each choice is a pure function of (seed, what for, who, count).
//!
//! Nothing is shared between purposes or actors, so that taking one fault, message or client away
//! leaves every other choice where it was. That is what makes shrinking a failed run possible.

/// The source of all choices of one run.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

/// What a choice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum What {
    /// Which faults, sizes and limits this run has at all.
    Swarm = 1,
    /// What the nemesis does.
    Nemesis,
    /// The id of a process.
    Identity,
    /// What a node draws through its `Env`.
    Node,
    /// The clock of a process.
    Clock,
    /// How a process groups its inputs, and how long it computes.
    Process,
    /// The disk of a process.
    Disk,
    /// Whether a message between processes is lost.
    Loss,
    /// Whether a message between processes arrives twice.
    Duplicate,
    /// How long a message between processes travels.
    Delay,
    /// How long a connection takes to be made or to break.
    Dial,
    /// What a client asks for and when.
    Client,
    /// How long frames between client and node travel.
    ClientNet,
    /// Which nodes make up the core of the final phase.
    Core,
    /// What happens to the bytes of a message that is damaged.
    Damage,
    /// What the simulated sockets of the production runtime draw.
    Sockets,
    /// What clients do that mean harm, or know no better.
    Mischief,
    /// Whether a sweep runs the seed twice.
    Repeat,
    /// How much of the history is searched.
    Search,
}

impl Chance {
    /// The source that belongs to a seed.
    pub fn new(seed: u64) -> Chance {
        Chance { seed }
    }

    /// The choices of `who` for one purpose.
    pub fn dice(&self, what: What, who: u64) -> Dice {
        Dice {
            key: mix(mix(self.seed, what as u64), who),
            count: 0,
        }
    }
}

/// The choices of one actor for one purpose, by number.
#[derive(Clone, Debug)]
pub struct Dice {
    key: u64,
    count: u64,
}

impl Dice {
    /// The choice with this number, whatever was drawn before.
    pub fn at(&self, count: u64) -> u64 {
        mix(self.key, count)
    }

    /// Choices that belong to the choice with this number.
    pub fn within(&self, count: u64) -> Dice {
        Dice {
            key: self.at(count),
            count: 0,
        }
    }

    /// The next choice.
    pub fn draw(&mut self) -> u64 {
        let value = self.at(self.count);
        self.count += 1;
        value
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} is above {high}");
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high` whose magnitude is uniform: small ones are as likely as large.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        assert!(low > 0, "magnitudes start above 0");
        let steps = u64::from((high / low).max(1).ilog2());
        let base = low << self.between(0, steps);
        self.between(base, (2 * base).min(high).max(base))
    }

    /// True in `ppm` of a million cases.
    pub fn hit(&mut self, ppm: u32) -> bool {
        is_hit(self.draw(), ppm)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// The same things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Whether a choice falls into the first `ppm` of a million parts.
pub fn is_hit(choice: u64, ppm: u32) -> bool {
    ((u128::from(choice) * 1_000_000) >> 64) < u128::from(ppm)
}

/// A keyed hash of one number: two rounds of multiplying and folding, enough for every bit of the
/// input to reach every bit of the output.
fn mix(key: u64, value: u64) -> u64 {
    let first = fold(key ^ 0x9e37_79b9_7f4a_7c15, value ^ 0xd1b5_4a32_d192_ed03);
    fold(first ^ value, key ^ 0x8cb9_2ba7_2f3d_8dd7) ^ first.rotate_left(29)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_depend_on_everything_that_names_them() {
        let chance = Chance::new(7);
        let choice = chance.dice(What::Loss, 3).at(9);
        assert_eq!(choice, Chance::new(7).dice(What::Loss, 3).at(9));
        assert_ne!(choice, Chance::new(8).dice(What::Loss, 3).at(9));
        assert_ne!(choice, chance.dice(What::Delay, 3).at(9));
        assert_ne!(choice, chance.dice(What::Loss, 4).at(9));
        assert_ne!(choice, chance.dice(What::Loss, 3).at(10));
    }

    #[test]
    fn choices_are_spread_evenly() {
        let mut dice = Chance::new(1).dice(What::Swarm, 0);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[dice.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        let hits = (0..10_000).filter(|_| dice.hit(250_000)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
    }
}
