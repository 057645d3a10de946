/**
 * Who is there now. Not a Set: one that is added to and deleted from all the time leaves each outgrown table linked to the next, and
 * the first of them that reaches V8's old generation keeps all that follow, with every request in them, from the scavenger.
 */
export type Roster<Member> = {
  /** Returns what takes it off again, once. */
  add(member: Member): () => void;
  /** In no order. */
  readonly members: readonly Member[];
};

type Place<Member> = {member: Member; at: number};

export function createRoster<Member>(): Roster<Member> {
  const members: Member[] = [];
  const places: Place<Member>[] = [];
  return {
    members,
    add(member) {
      const place = {member, at: members.length};
      members.push(member);
      places.push(place);
      return () => {
        members.pop();
        const last = places.pop();
        if (last === undefined || last === place) return;
        members[place.at] = last.member; // the last one takes the place that is free
        places[place.at] = last;
        last.at = place.at;
      };
    },
  };
}
