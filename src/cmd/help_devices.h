/* help_devices.h - doc/devices.md: the rows of plan/devices.def, and what their columns mean. */
#ifndef CMD_HELP_DEVICES_H
#define CMD_HELP_DEVICES_H

void help_devices(void);      /* on stdout */

#endif
