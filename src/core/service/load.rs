//! How much waits here, against the bounds.

use super::Service;
use crate::core::limits::Gauge;

impl Service {
    /// Tells how full everything in here is.
    pub fn load(&self, tell: &mut impl FnMut(Gauge)) {
        let limits = &self.rules.limits;
        let (sessions, most) = (self.sessions.len(), limits.connections_max);
        tell(Gauge::waiting("connections", sessions, most));
        let (mut open, mut busiest) = (0, 0);
        for session in self.sessions.values() {
            open += session.open;
            busiest = session.open.max(busiest);
        }
        let most = limits.requests_open_max;
        tell(Gauge::waiting("requests of one connection", busiest, most));
        let writes_max = self.rules.writes_open_max;
        tell(Gauge::waiting("writes", self.writes.len(), writes_max));
        // Of connections that have ended, too, until their time is over.
        let reads_max = limits.connections_max * limits.requests_open_max;
        tell(Gauge::waiting("reads", self.reads.len(), reads_max));
        let future = self.future.values().map(Vec::len).sum::<usize>();
        let parked = self.parked.len() + future;
        tell(Gauge::waiting("parked requests", parked, open));
        tell(Gauge::waiting(
            "watches",
            self.watches.len(),
            self.parked.len(),
        ));
    }
}
