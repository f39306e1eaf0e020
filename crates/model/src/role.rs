//! Who a caller is to the shop.

crate::vocabulary! {
    /// What an account may do. Use cases decide; this only names.
    Role {
        /// Buys.
        User = "user",
        /// Offers products and keeps their stock.
        Supplier = "supplier",
        /// Runs the shop.
        Admin = "admin",
        /// A program acting for the shop.
        Service = "service",
    }
}

impl Role {
    /// May write products and stock.
    pub const fn sells(self) -> bool {
        matches!(self, Role::Supplier | Role::Admin)
    }

    /// May see and change what belongs to others.
    pub const fn administers(self) -> bool {
        matches!(self, Role::Admin)
    }
}
