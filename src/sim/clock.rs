//! The clock of one process: its own offset, its own pace, jumps forward, and sleep. Never
//! backward, as the operating system promises of a monotonic clock.

use std::time::Duration;

use crate::core::env::Time;

/// Maps simulated time to what one process takes it for.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Simulated time from which the following holds.
    since: Time,
    /// What the process took `since` for.
    shown: Time,
    /// Its microseconds for each million of simulated ones.
    pace_ppm: u64,
}

impl Clock {
    /// A clock that shows `shown` at `since`.
    pub fn new(since: Time, shown: Time, pace_ppm: u64) -> Clock {
        assert!(
            pace_ppm > 0,
            "a clock that stands still never wakes anybody"
        );
        Clock {
            since,
            shown,
            pace_ppm,
        }
    }

    /// Its microseconds for each million of simulated ones.
    pub fn pace_ppm(&self) -> u64 {
        self.pace_ppm
    }

    /// What the process takes this moment for.
    pub fn show(&self, now: Time) -> Time {
        let gone = u128::from(now.0.saturating_sub(self.since.0));
        let local = gone * u128::from(self.pace_ppm) / 1_000_000;
        Time(self.shown.0.saturating_add(local as u64))
    }

    /// The first moment at which the process sees at least `local`.
    pub fn when(&self, local: Time) -> Time {
        let gone = u128::from(local.0.saturating_sub(self.shown.0));
        let real = (gone * 1_000_000).div_ceil(u128::from(self.pace_ppm));
        let real = u64::try_from(real).unwrap_or(u64::MAX);
        Time(self.since.0.saturating_add(real))
    }

    /// The clock stands still for some time, as that of a machine that sleeps.
    pub fn suspend(&mut self, now: Time, span: Duration) {
        self.shown = self.show(now);
        self.since = now + span;
    }

    /// From `now` on, the clock runs at another pace.
    pub fn set_pace(&mut self, now: Time, pace_ppm: u64) {
        *self = Clock::new(now, self.show(now), pace_ppm);
    }

    /// From `now` on, the clock is ahead by this much more.
    pub fn jump(&mut self, now: Time, ahead: Duration) {
        self.shown = self.show(now) + ahead;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_never_early_and_jumps_bring_it_forward() {
        for pace in [500_000, 999_900, 1_000_000, 1_000_100, 3_000_000] {
            let mut clock = Clock::new(Time(1_000), Time(77), pace);
            let local = Time(12_345);
            let real = clock.when(local);
            assert!(clock.show(real) >= local);
            assert!(clock.show(Time(real.0 - 1)) < local);
            clock.jump(Time(2_000), Duration::from_micros(5_000));
            assert!(clock.when(local) < real);
            assert!(clock.show(Time(2_000)).0 >= 5_077);
        }
    }

    #[test]
    fn a_clock_that_sleeps_shows_the_same_time_until_it_wakes_up() {
        let mut clock = Clock::new(Time(0), Time(0), 1_000_000);
        clock.suspend(Time(100), Duration::from_micros(50));
        assert_eq!(clock.show(Time(150)), Time(100));
        assert_eq!(clock.show(Time(160)), Time(110));
        assert_eq!(clock.when(Time(110)), Time(160));
    }

    #[test]
    fn a_change_of_pace_leaves_the_past_as_it_was() {
        let mut clock = Clock::new(Time(0), Time(0), 1_000_000);
        clock.set_pace(Time(100), 2_000_000);
        assert_eq!(clock.show(Time(100)), Time(100));
        assert_eq!(clock.show(Time(150)), Time(200));
    }
}
