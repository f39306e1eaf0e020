use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use spin_sdk::wasip3::{wit_bindgen::StreamWriter, wit_stream};

/// So many at a time, the others in line: a semaphore between the requests of one instance.
///
/// The locks of `futures` and its like cannot do this. Each request is a task of the component model, which only the
/// host can wake: a request that waits for what another one does in memory traps (`wit-bindgen` says so in its panic,
/// and its feature `inter-task-wakeup` traps in Wasmtime 48). So whoever waits here reads from a stream that whoever
/// finishes closes.
pub struct Turns {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<Waiting>>,
}

/// Somebody in line.
struct Waiting {
    place: Rc<Cell<Place>>,
    /// Closing it wakes the one who waits.
    bell: StreamWriter<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InLine,
    Called,
    Left,
}

/// A turn. It ends when this is dropped, and the next in line has it.
pub struct Turn(Rc<Turns>);

impl Turns {
    /// `count` at a time.
    pub fn new(count: usize) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(count), waiting: RefCell::default() })
    }

    /// A turn, as soon as everybody who came earlier has had one. May be dropped while it waits.
    pub async fn take(self: &Rc<Self>) -> Turn {
        let free = self.free.get();
        if free > 0 {
            self.free.set(free - 1);
            return Turn(self.clone());
        }
        let (bell, mut ear) = wit_stream::new::<u8>();
        let place = Rc::new(Cell::new(Place::InLine));
        self.waiting.borrow_mut().push_back(Waiting { place: place.clone(), bell });
        let mut in_line = InLine { turns: self.clone(), place };
        ear.next().await;
        in_line.called()
    }

    /// Calls the next who is still in line, or notes that a turn is free.
    fn pass_on(&self) {
        loop {
            // Not in the condition of a `while`: the bell must not ring while the line is borrowed.
            let next = self.waiting.borrow_mut().pop_front();
            let Some(next) = next else { break };
            if next.place.get() == Place::InLine {
                next.place.set(Place::Called);
                drop(next.bell);
                return;
            }
        }
        self.free.set(self.free.get() + 1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// Keeps the line in order when somebody leaves it, perhaps in the moment of being called.
struct InLine {
    turns: Rc<Turns>,
    place: Rc<Cell<Place>>,
}

impl InLine {
    fn called(&mut self) -> Turn {
        self.place.set(Place::Left);
        Turn(self.turns.clone())
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if self.place.replace(Place::Left) == Place::Called {
            self.turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_turn_that_has_ended_is_free_again() {
        let turns = Turns::new(2);
        let take = || turns.take().now_or_never();
        let (one, two) = (take(), take());
        assert!(one.is_some() && two.is_some());
        assert_eq!(turns.free.get(), 0);
        drop(one);
        let three = take();
        assert!(three.is_some());
        drop((two, three));
        assert_eq!(turns.free.get(), 2);
    }
}
