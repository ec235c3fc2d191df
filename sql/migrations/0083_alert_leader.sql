-- Which alerter decides. A row that nobody renewed in time may be taken over; each taking is a new term, and what
-- one writes who led in an earlier term is refused.
create table alert_leader (
  one bool primary key default true check (one),
  term int8 not null,
  leader text not null,
  since timestamptz not null,
  until timestamptz not null
);
insert into alert_leader (term, leader, since, until) values (0, '', '-infinity', '-infinity');
