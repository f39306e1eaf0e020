use futures::FutureExt;
use proptest::prelude::*;

use super::*;

/// What all instances share.
struct Shared {
    max: i64,
    row: i64,
    served: i64,
    refused: i64,
}

/// An instance as `answer` has it, with the waiting made visible.
struct Instance {
    window: Window,
    /// What whoever asks wants, and gets.
    under_way: Option<(i64, i64)>,
    waiting: i64,
}

impl Shared {
    fn new(max: i64) -> Self {
        Self { max, row: 0, served: 0, refused: 0 }
    }

    fn instance(&self) -> Instance {
        Instance { window: Window::new(self.max, 1000), under_way: None, waiting: 0 }
    }

    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Served => self.served += 1,
            _ => self.refused += 1,
        }
    }

    fn arrives(&mut self, instance: &mut Instance) {
        if let Some(answer) = instance.window.known() {
            return self.note(answer);
        }
        std::mem::forget(instance.window.ask());
        match instance.under_way {
            Some(_) => instance.waiting += 1,
            None => self.asks(instance),
        }
    }

    fn asks(&mut self, instance: &mut Instance) {
        let wanted = instance.window.lot();
        self.row += wanted;
        instance.under_way = Some((wanted, self.row));
    }

    /// The database answers, and whoever waits has its turn.
    fn answers(&mut self, instance: &mut Instance) {
        let Some((wanted, granted)) = instance.under_way.take() else { return };
        let mut answer = Some(instance.window.taken(wanted, granted));
        while let Some(known) = answer {
            self.note(known);
            drop(Asking(&instance.window));
            if instance.waiting == 0 {
                return;
            }
            instance.waiting -= 1;
            answer = instance.window.known();
        }
        self.asks(instance);
    }

    /// So many at once in an instance that has nothing to do then.
    fn burst(&mut self, instance: &mut Instance, requests: usize) {
        (0..requests).for_each(|_| self.arrives(instance));
        while instance.under_way.is_some() {
            self.answers(instance);
        }
    }
}

/// What a client can lose by an instance.
fn loss(instance: &Instance) -> i64 {
    let window = &instance.window;
    window.served.get() / OF_SERVED + window.max / OF_LIMIT + window.asking.get()
}

proptest! {
    #[test]
    fn all_instances_together_serve_what_the_window_has_and_hardly_less(
        max in prop_oneof![1..200_i64, 5000..9000_i64],
        steps in proptest::collection::vec((0..4_usize, 0..12_u8, 1..40_usize), 0..600),
    ) {
        let mut shared = Shared::new(max);
        let mut instances = [(); 4].map(|()| shared.instance());
        let mut lost = 0;
        for (at, step, requests) in steps {
            match step {
                0..6 => (0..requests).for_each(|_| shared.arrives(&mut instances[at])),
                6..11 => shared.answers(&mut instances[at]),
                _ => {
                    lost += loss(&instances[at]);
                    instances[at] = shared.instance();
                }
            }
            prop_assert!(shared.served <= max);
        }
        for instance in &mut instances {
            while instance.under_way.is_some() {
                shared.answers(instance);
            }
            prop_assert_eq!(instance.window.asking.get(), 0);
            lost += loss(instance);
        }
        let held: i64 = instances.iter().map(|instance| instance.window.held.get()).sum();
        prop_assert!(shared.served + held <= max);
        prop_assert!(shared.refused == 0 || shared.served + lost >= max, "{} served, {lost} lost", shared.served);
    }
}

#[test]
fn nobody_loses_by_coming_slowly() {
    for at_once in [1, 6, 16] {
        let mut shared = Shared::new(120);
        for _ in 0..120 / at_once {
            // The one before has been idle for too long.
            shared.burst(&mut shared.instance(), at_once);
        }
        let rest = 120 - 120 / at_once * at_once;
        shared.burst(&mut shared.instance(), rest + 1);
        assert_eq!((shared.served, shared.refused), (120, 1), "{at_once} at once");
    }
}

#[test]
fn a_crowd_has_all_there_is() {
    let mut shared = Shared::new(120);
    let (mut one, mut two) = (shared.instance(), shared.instance());
    for _ in 0..16 {
        shared.arrives(&mut one);
        shared.arrives(&mut two);
    }
    shared.burst(&mut one, 0);
    shared.burst(&mut two, 0);
    assert_eq!((shared.served, shared.refused), (32, 0));
    (0..20).for_each(|_| shared.burst(&mut one, 16));
    assert!(shared.served + two.window.held.get() == 120, "{} served", shared.served);
}

#[test]
fn a_busy_instance_seldom_asks() {
    for (max, most) in [(120, 40), (1000, 40), (1_000_000, 1)] {
        let (shared, window) = (Shared::new(max), Window::new(max, 1000));
        let (mut row, mut asked) = (0, 0);
        for _ in 0..shared.max.min(128) {
            if window.known().is_none() {
                let _asking = window.ask();
                let wanted = window.lot();
                (row, asked) = (row + wanted, asked + 1);
                assert_eq!(window.taken(wanted, row), Answer::Served);
            }
        }
        assert!(asked <= most, "{asked} statements for a limit of {max}");
    }
}

#[test]
fn what_nobody_could_count_is_counted_with_the_next_lot() {
    let window = Window::new(10, 1000);
    assert_eq!((0..3).filter(|_| window.owe()).count(), 3);
    assert_eq!(window.budget().remaining, 7);
    let _asking = window.ask();
    let wanted = window.lot();
    assert_eq!((wanted, window.taken(wanted, wanted + 5)), (4, Answer::Served), "others have taken 5");
    assert_eq!((window.budget().remaining, window.known()), (1, None));
    // Alone it gives what there is, and no more.
    let alone = Window::new(10, 1000);
    assert_eq!((0..30).filter(|_| alone.owe()).count(), 10);
    assert_eq!(alone.budget().remaining, 0);
    let _asking = alone.ask();
    let wanted = alone.lot();
    assert_eq!((wanted, alone.taken(wanted, wanted)), (12, Answer::Refused), "it has been answered already");
}

#[test]
fn what_is_left_of_a_window_is_not_for_the_next_one() {
    let limit = Limit { name: "", max: 8192, window_ms: 1000, windows: RefCell::default() };
    let old = limit.window("a", 0);
    let new = limit.window("a", 1000);
    let _asking = (old.ask(), new.ask());
    assert_eq!(old.taken(old.lot(), 3), Answer::Served, "its lot arrives late");
    assert_eq!((old.held.get(), new.known()), (2, None));
    assert_eq!(new.taken(new.lot(), 3), Answer::Served);
    assert_eq!(new.budget(), Budget { limit: 8192, remaining: 8191, resets_at: 2000 });
    let same = limit.window("a", 1999);
    assert_eq!((same.known(), same.budget().remaining), (Some(Answer::Served), 8190));
    let other = limit.window("b", 1999);
    assert_eq!((other.known(), other.budget().remaining), (None, 8192), "another client has its own");
    assert_eq!((other.taken(3, 9000), other.known()), (Answer::Refused, Some(Answer::Refused)));
    assert_eq!(other.budget().remaining, 0);
}

#[test]
fn without_a_database_an_instance_counts_for_itself() {
    let limit = Limit { name: "", max: 10, window_ms: 1000, windows: RefCell::default() };
    let answers = |client: &str, now| {
        let window = limit.window(client, now);
        limit.answer(None, client, &window).now_or_never()
    };
    let answers: Vec<_> = [("a", 0, 12), ("b", 0, 1), ("a", 1000, 1)]
        .into_iter()
        .flat_map(|(client, now, times)| (0..times).map(move |_| (client, now)))
        .map(|(client, now)| answers(client, now))
        .collect();
    let refused: Vec<_> = (0..answers.len()).filter(|at| answers[*at] != Some(Answer::Served)).collect();
    assert_eq!((refused, answers[10]), (vec![10, 11], Some(Answer::Refused)));
}
