//! The rules of an order: which state may follow which. What it costs, its number and its refunds are in the files beside
//! this one. Pure.

mod draft;
mod number;
mod refund;

use model::OrderStatus::{self, Cancelled, Delivered, Failed, Paid, Pending, Reserved, Returned, Shipped};

pub(crate) use draft::{Draft, Line, Offer, Priced, Terms, TermsKind, Unplaceable, items, sold};
pub(crate) use number::{id as id_of_number, number};
pub(crate) use refund::{Claim, NotRefundable, Past, Sold, claim};

/// What may happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its stock is held.
    Reserve,
    /// Its stock is not there.
    Reject,
    /// Its money is taken.
    Pay,
    /// Its money was refused.
    Decline,
    /// The customer wants something else.
    Change,
    /// It leaves the house.
    Ship,
    /// It arrives.
    Deliver,
    /// The customer sends it back.
    Return,
    /// Somebody calls it off.
    Cancel,
    /// Nobody paid in time.
    Expire,
}

impl Step {
    /// The states in which it may happen, and the one that it leads to. There is no other way from state to state.
    const fn way(self) -> (&'static [OrderStatus], OrderStatus) {
        match self {
            Step::Reserve => (&[Pending], Reserved),
            Step::Reject => (&[Pending], Failed),
            Step::Pay => (&[Reserved], Paid),
            // Pending again: it was changed while its card was being charged.
            Step::Decline => (&[Pending, Reserved], Failed),
            Step::Change => (&[Reserved], Pending),
            Step::Ship => (&[Paid], Shipped),
            Step::Deliver => (&[Shipped], Delivered),
            Step::Return => (&[Delivered], Returned),
            Step::Cancel => (&[Pending, Reserved, Paid], Cancelled),
            Step::Expire => (&[Pending, Reserved], Cancelled),
        }
    }

    /// The states in which this may happen.
    pub(crate) const fn from(self) -> &'static [OrderStatus] {
        self.way().0
    }

    /// The state that it leads to.
    pub(crate) const fn to(self) -> OrderStatus {
        self.way().1
    }

    /// What the shop's people do to bring an order to `status`; none for a state that only events lead to.
    pub(crate) const fn of_people(status: OrderStatus) -> Option<Self> {
        match status {
            Shipped => Some(Step::Ship),
            Delivered => Some(Step::Deliver),
            Returned => Some(Step::Return),
            Cancelled => Some(Step::Cancel),
            Paid => Some(Step::Pay),
            Pending | Reserved | Failed => None,
        }
    }
}

/// The states in which the shop has the customer's money, and may give some of it back.
pub(crate) const REFUNDABLE: &[OrderStatus] = &[Paid, Shipped, Delivered, Returned];

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 10] = [
        Step::Reserve,
        Step::Reject,
        Step::Pay,
        Step::Decline,
        Step::Change,
        Step::Ship,
        Step::Deliver,
        Step::Return,
        Step::Cancel,
        Step::Expire,
    ];

    #[test]
    fn of_all_pairs_of_states_these_and_no_others_follow_each_other() {
        let follow = [
            (Pending, Reserved),
            (Pending, Failed),
            (Pending, Cancelled),
            (Reserved, Pending),
            (Reserved, Paid),
            (Reserved, Failed),
            (Reserved, Cancelled),
            (Paid, Shipped),
            (Paid, Cancelled),
            (Shipped, Delivered),
            (Delivered, Returned),
        ];
        for from in OrderStatus::ALL {
            for to in OrderStatus::ALL {
                let possible = STEPS.iter().any(|step| step.to() == *to && step.from().contains(from));
                assert_eq!(possible, follow.contains(&(*from, *to)), "from {from} to {to}");
            }
        }
    }

    #[test]
    fn only_people_change_what_is_final_and_nothing_leaves_an_end() {
        for status in OrderStatus::ALL {
            for step in STEPS.iter().filter(|step| step.from().contains(status)) {
                assert!(!status.is_final() || Step::of_people(step.to()) == Some(*step), "{step:?} from {status}");
                assert!(![Failed, Cancelled, Returned].contains(status), "{step:?} from {status}");
            }
        }
    }

    #[test]
    fn people_bring_an_order_where_they_said() {
        for status in OrderStatus::ALL {
            if let Some(step) = Step::of_people(*status) {
                assert_eq!(step.to(), *status);
            }
        }
    }

    #[test]
    fn every_state_but_the_first_can_be_reached() {
        for status in OrderStatus::ALL {
            let reachable = *status == Pending || STEPS.iter().any(|step| step.to() == *status);
            assert!(reachable, "{status}");
        }
    }
}
