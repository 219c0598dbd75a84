//! Delta debugging: which few of many things are needed for a failure.

/// Takes things away for as long as it still fails without them: large parts first, then smaller
/// ones, until each one that is left is needed.
pub fn ddmin<T: Clone>(all: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    if all.is_empty() || fails(&[]) {
        return Vec::new();
    }
    let (mut kept, mut parts) = (all, 2);
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let starts = (0..kept.len()).step_by(size);
        let without = |start: usize| {
            let end = (start + size).min(kept.len());
            [&kept[..start], &kept[end..]].concat()
        };
        match starts.map(without).find(|rest| fails(rest)) {
            Some(rest) => {
                kept = rest;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (2 * parts).min(kept.len()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        let all: Vec<u32> = (0..100).collect();
        for needed in [vec![], vec![42], vec![0, 99], vec![3, 4, 50, 51, 97]] {
            let mut runs = 0;
            let kept = ddmin(all.clone(), |some| {
                runs += 1;
                needed.iter().all(|one| some.contains(one))
            });
            assert_eq!(kept, needed);
            assert!(runs < 150, "{runs}");
        }
    }

    #[test]
    fn either_of_two_will_do() {
        let kept = ddmin(vec![1, 2, 3, 4], |some| {
            some.contains(&2) || some.contains(&3)
        });
        assert_eq!(kept.len(), 1);
    }
}
