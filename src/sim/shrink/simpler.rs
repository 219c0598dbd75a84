//! Simpler values: parameters as in a calm run, events with round numbers and short lists.

use toml::{Table, Value};

use super::Search;
use crate::sim::fault::Event;
use crate::sim::params::Params;
use crate::sim::units::round;

impl Search {
    /// Makes each parameter calm that the failure does not need otherwise, groups of them first.
    pub(super) fn calm(&mut self) {
        let usual = Params::default();
        let Ok(usual) = Table::try_from(&usual) else {
            return;
        };
        for (key, value) in &usual {
            if self.try_param(&[key], value) {
                continue;
            }
            for (inner, value) in value.as_table().into_iter().flatten() {
                self.try_param(&[key, inner], value);
            }
        }
    }

    fn try_param(&mut self, path: &[&String], usual: &Value) -> bool {
        self.try_change(|setup| {
            let Ok(mut table) = Table::try_from(&setup.params) else {
                return;
            };
            let mut at = &mut table;
            for key in &path[..path.len() - 1] {
                let Some(Value::Table(inner)) = at.get_mut(*key) else {
                    return;
                };
                at = inner;
            }
            at.insert(path[path.len() - 1].clone(), usual.clone());
            if let Ok(params) = table.try_into::<Params>() {
                setup.params = Params {
                    members: setup.params.members,
                    standbys: setup.params.standbys,
                    storm: setup.params.storm,
                    ..params
                };
            }
        })
    }

    /// Gives events round numbers and short lists.
    pub(super) fn simplify_events(&mut self) {
        for index in 0..self.best.setup.events.len() {
            for (key, value) in fields(&self.best.setup.events[index]) {
                match value {
                    Value::Integer(number) if key.ends_with("_us") => {
                        self.try_numbers(index, &key, number);
                    }
                    Value::Array(items) if items.len() > 1 => {
                        for item in items {
                            self.try_field(index, &key, |value| remove(value, &item));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn try_numbers(&mut self, index: usize, key: &str, number: i64) {
        let number = u64::try_from(number).unwrap_or(0);
        let coarse = round(number);
        for simpler in [coarse, coarse / 10 * 11] {
            let simpler = i64::try_from(simpler).unwrap_or(i64::MAX);
            if self.try_field(index, key, |value| *value = Value::Integer(simpler)) {
                return;
            }
        }
        let ms = i64::try_from(number.next_multiple_of(1_000)).unwrap_or(i64::MAX);
        self.try_field(index, key, |value| *value = Value::Integer(ms));
    }

    fn try_field(&mut self, index: usize, key: &str, change: impl FnOnce(&mut Value)) -> bool {
        self.try_change(|setup| {
            let mut table = fields(&setup.events[index]);
            if let Some(value) = table.get_mut(key) {
                change(value);
            }
            if let Ok(event) = table.try_into::<Event>() {
                setup.events[index] = event;
            }
        })
    }
}

fn fields(event: &Event) -> Table {
    Table::try_from(event).unwrap_or_default()
}

fn remove(list: &mut Value, item: &Value) {
    if let Value::Array(items) = list
        && items.len() > 1
    {
        items.retain(|one| one != item);
    }
}
