//! A table of things with a life: dense slots, reused, with generations so that a late reference to a former tenant
//! finds nobody.

/// Names an entry of [`Slots`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId {
    /// Index of the slot.
    pub slot: u32,
    /// How often the slot had been taken when this entry moved in.
    pub generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table. Insertion, look-up and removal cost no hashing; iteration is in slot order, so it is the same in every
/// run of one history.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Stores `value`; the id is valid until `remove`.
    pub fn insert(&mut self, value: T) -> SlotId {
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            assert!(entry.value.is_none(), "a free slot is empty");
            entry.generation = entry.generation.wrapping_add(1);
            entry.value = Some(value);
            return SlotId { slot, generation: entry.generation };
        }
        let slot = u32::try_from(self.slots.len()).expect("bounded far below 2^32 entries");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        SlotId { slot, generation: 0 }
    }

    /// The entry, if it still lives.
    #[must_use]
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let entry = self.slots.get(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_ref() } else { None }
    }

    /// The entry, if it still lives.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let entry = self.slots.get_mut(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_mut() } else { None }
    }

    /// Takes the entry out, if it still lives.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let entry = self.slots.get_mut(id.slot as usize)?;
        if entry.generation != id.generation {
            return None;
        }
        let value = entry.value.take()?;
        self.free.push(id.slot);
        Some(value)
    }

    /// How many entries live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether none lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that live, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let id = SlotId { slot: slot as u32, generation: entry.generation };
            entry.value.as_ref().map(|value| (id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_is_not_its_predecessor() {
        let mut slots = Slots::default();
        let first = slots.insert("a");
        assert_eq!(slots.remove(first), Some("a"));
        let second = slots.insert("b");
        assert_eq!(first.slot, second.slot);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
        assert_eq!(slots.len(), 1);
    }
}
